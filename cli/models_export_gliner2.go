package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"jobstrom/models"
	"jobstrom/models/repository"
	"jobstrom/pipeline/extract/gliner2/export"
)

// exportedJSON is an exported extractor for machines.
type exportedJSON struct {
	Dir       string               `json:"dir"`
	Extractor models.ExtractorCard `json:"extractor"`
}

func (a *app) modelsExportGLiNER2Command() *cobra.Command {
	var o export.Options
	var licence string
	var script, requirements bool
	cmd := &cobra.Command{
		Use:   "export-gliner2 CHECKPOINT",
		Short: "Make an extractor of a GLiNER2 checkpoint in PyTorch",
		Long: `Export a GLiNER2 checkpoint, published or trained by you, to the ONNX graphs that jobstrom extracts with; after that Python is needed no more. CHECKPOINT is a folder
that GLiNER2's save_pretrained wrote (config.json, encoder_config/config.json, model.safetensors, the tokenizer), or a model's name on the Hugging Face hub,
which Python downloads and keeps in its own cache.

The work is done by a script that jobstrom holds, in your Python (--python), 3.10 or newer with the packages gliner2, torch, transformers, onnx, onnxruntime and
sentencepiece. --requirements prints the versions that are known to work:

  python3 -m venv gliner2
  jobstrom models export-gliner2 --requirements >requirements.txt
  gliner2/bin/pip install -r requirements.txt

Each graph is run in ONNX Runtime beside the checkpoint; where they differ by more than 1e-4 (.05 of the fp16 graphs) nothing is written. The folder then gets a card with the
hash of every file. Beside the four graphs of gliner2-onnx's layout there is count_pred, with which an answer is that of gliner2 itself also where it finds nothing. --script prints the
script, for a machine that has Python but no jobstrom; ` + "`jobstrom models pull ./FOLDER`" + ` makes the card of what it wrote.`,
		Example: `  jobstrom models export-gliner2 fastino/gliner2-multi-v1 --python gliner2/bin/python
  jobstrom models export-gliner2 checkpoints/mine --precision fp32 --dir extractors/mine
  jobstrom models export-gliner2 --script >export_gliner2.py`,
		Args: args(cobra.MaximumNArgs(1)),
	}
	a.formatFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "`folder` of the extractor, which must not exist (default extractors/NAME in the data folder)")
	f.StringVar(&o.Python, "python", "python3", "the Python `interpreter` that has the packages")
	f.StringVar(&o.Precision, "precision", export.Both, "`precision` of the graphs: fp32, fp16, or both")
	f.StringVar(&licence, "licence", "", "`name` of the checkpoint's licence, for the card")
	f.BoolVar(&script, "script", false, "print the script, and do nothing else")
	f.BoolVar(&requirements, "requirements", false, "print the packages that it needs, for pip, and do nothing else")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if script || requirements {
			if script && requirements || len(given) > 0 {
				return fmt.Errorf("--script and --requirements stand alone (%w)", errUsage)
			}
			text := export.Script
			if requirements {
				text = export.Requirements
			}
			_, err := a.out.Write(text)
			return err
		}
		if len(given) == 0 {
			return fmt.Errorf("the checkpoint is missing (%w)", errUsage)
		}
		o.Checkpoint = given[0]
		if o.Dir == "" {
			dir, err := a.config.dataFolder(filepath.Join("extractors", encoderFolder(o.Checkpoint)))
			if err != nil {
				return err
			}
			o.Dir = dir
		}
		o.EnsureDefaults()
		o.Remedy = fmt.Sprintf("jobstrom models export-gliner2 --requirements >requirements.txt && %s -m pip install -r requirements.txt", o.Python)
		if err := o.Validate(); err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		o.Progress = a.err
		if err := export.Run(cmd.Context(), o); err != nil {
			return err
		}
		return a.describeExported(o, licence)
	}
	return cmd
}

// describeExported writes the card of an exported extractor and shows it.
func (a *app) describeExported(o export.Options, licence string) error {
	card, err := repository.Extractor(o.Dir, repository.Options{Name: filepath.Base(o.Dir), Source: o.Checkpoint, Licence: licence})
	if err == nil {
		err = models.WriteExtractorCard(o.Dir, card)
	}
	if err != nil {
		return fmt.Errorf("%w; the graphs lie in %s", err, o.Dir)
	}
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(exportedJSON{o.Dir, card})
	}
	a.showExtractor(o.Dir, card)
	return nil
}

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"jobstrom/models"
	"jobstrom/models/convert"
	"jobstrom/schemas"
)

// importedJSON is an imported model for machines.
type importedJSON struct {
	Model  string `json:"model"`
	File   string `json:"file"`
	Format string `json:"format"`
	SHA256 string `json:"sha256"`
	// Lacks are the categories that the imported file does not know.
	Lacks      []string `json:"lacks"`
	Challenger bool     `json:"challenger"`
}

func (a *app) modelsImportCommand() *cobra.Command {
	var categories, out, reason string
	var challenge bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a model of a linear classifier that PyTorch or scikit-learn trained",
		Long: `Make a model of a linear classifier that was trained elsewhere, on vectors of the encoder (--encoder): a state_dict of one torch.nn.Linear, saved by
torch.save, or ONNX, as skl2onnx writes scikit-learn's multinomial LogisticRegression, also behind a StandardScaler, and torch.onnx a linear layer.
Nothing in the file is run before it is known to be one; an ONNX file is then compared with the model in ONNX Runtime. Other files are refused
with the reason.

The file's labels are names of our categories, their codes at Jobnet, or indices. Where it has none, --categories names them in the order of
its rows: one a line, or a JSON list. Without that its rows are our categories in index order. A category that the file does not know gets
probability 0.`,
		Example: `  jobstrom models import classifier.pt
  jobstrom models import classifier.onnx --challenge --reason "from the notebook"
  jobstrom models import classifier.pt --categories categories.txt --out classifier.bin`,
		Args: args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&categories, "categories", "", "`file` that names the categories of the rows, in their order")
	cmd.Flags().StringVar(&out, "out", "", "`file` of the classifier (default models/<id>.bin in the data folder)")
	cmd.Flags().BoolVar(&challenge, "challenge", false, "register it as a challenger as well")
	cmd.Flags().StringVar(&reason, "reason", "", "`why`, for the history; with --challenge")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if reason != "" && !challenge {
			return fmt.Errorf("--reason is given without --challenge, only that has a history (%w)", errUsage)
		}
		encoder, err := models.ReadEncoderCard(a.encoderDir())
		if err != nil {
			return err
		}
		labels, err := readCategories(categories)
		if err != nil {
			return err
		}
		c, err := convert.Import(given[0], convert.ImportOptions{
			Encoder: encoder.ID, Dim: encoder.Dim, Taxonomy: schemas.Jobnet(), Labels: labels, Card: &schemas.Card{EncoderName: encoder.Name}, Library: a.config.embedOptions().Library,
		})
		if err != nil {
			return err
		}
		if challenge { // what would fail after the file is written fails before it
			if _, err := a.readModels(cmd.Context()); err != nil {
				return err
			}
		}
		if out == "" {
			out = filepath.Join(a.config.Data, "models", c.Id+".bin")
		}
		if err := writeClassifier(out, c); err != nil {
			return err
		}
		if challenge {
			why := strings.Trim(strings.Join([]string{"imported", reason}, "; "), "; ")
			if _, err := a.writer().Challenge(cmd.Context(), c, why); err != nil {
				return err
			}
		}
		lacks := convert.Lacks(c, schemas.Jobnet())
		if a.format == "json" {
			return json.NewEncoder(a.out).Encode(importedJSON{
				Model: c.Id, File: out, Format: c.Training[convert.ImportedFormat], SHA256: c.Training[convert.ImportedSHA256], Lacks: append([]string{}, lacks...), Challenger: challenge,
			})
		}
		fmt.Fprintf(a.out, "%.12s imported from %s (%s)\nwritten to %s\n", c.Id, given[0], c.Training[convert.ImportedFormat], out)
		if len(lacks) > 0 {
			fmt.Fprintf(a.out, "never answers, for the file does not know them: %s\n", strings.Join(lacks, "; "))
		}
		if challenge {
			fmt.Fprintln(a.out, "it is a challenger: jobstrom models gate compares it on labelled traffic")
			return nil
		}
		fmt.Fprintf(a.out, "jobstrom models challenge %s scores it beside the champion, jobstrom models promote makes it the champion\n", out)
		return nil
	}
	return cmd
}

// readCategories reads a file of names, one a line or a JSON list; none where there is no file.
func readCategories(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading --categories: %w", err)
	}
	var names []string
	if data = bytes.TrimSpace(data); bytes.HasPrefix(data, []byte("[")) {
		if err := json.Unmarshal(data, &names); err != nil {
			return nil, fmt.Errorf("reading --categories %s: %w: write a JSON list of names, or one name a line", path, err)
		}
	} else {
		for line := range strings.Lines(string(data)) {
			names = append(names, strings.TrimSpace(line))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("reading --categories %s: it names none: write one name a line, or a JSON list", path)
	}
	return names, nil
}

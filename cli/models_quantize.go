package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"jobstrom/models/quantize"
)

// errVaries is returned for an encoder whose vectors depend on what a text is batched with.
var errVaries = errors.New("a text's vector depends on the texts it is batched with")

func (a *app) modelsQuantizeCommand() *cobra.Command {
	var o quantize.Options
	var kind, dir, texts, embeddings string
	var whole, force bool
	cmd := &cobra.Command{
		Use:   "quantize SOURCE",
		Short: "Make a smaller, faster encoder of one in floating point, and measure it against that",
		Long: `Make an encoder that computes in whole numbers of the encoder in the folder SOURCE, or of a model that was pulled by that name. Every product with a
constant matrix (MatMul, Gemm) becomes one of

  int8  8-bit integers, with a scale for each output and each token: the fastest
  q8    weights in blocks of 8 bits: nearly exact
  q4    weights in blocks of 4 bits: the smallest

and the word embeddings lie in blocks of --embeddings bits. Then both encode the samples, and the lines of --texts, and a report says what was gained and lost:

  bytes    of the graph and the files beside it
  cosine   between both encoders' vectors of a text: the lowest and the mean
  flips    texts that one classifier, made of the original's vectors of other samples, puts into another category; .5 % is what a default may have
  batched  the lowest cosine between a text's vectors alone and in a batch. Below .99999 the stream, the API and a reprocessing would disagree: nothing is
           written and the status is 1, unless --force is given
  speed    the original's time over the new one's, in turns on the same threads: the median, the lowest and the highest

What comes out is another encoder, with vectors, topics and classifiers of its own: train one before it answers. Weights of int8 take 7 bits, because processors
without VNNI overflow with 8 and give other vectors than the rest; --whole-range takes all 8, for a fleet of processors that have it.`,
		Example: `  jobstrom models pull intfloat/multilingual-e5-small
  jobstrom models quantize intfloat/multilingual-e5-small
  jobstrom models quantize encoders/e5 --kind q4 --dir encoders/e5-q4 --texts vacancies.txt
  jobstrom models quantize encoders/e5 --keep '/encoder/layer.0/*' --embeddings float --format json | jq .flips`,
		Args: args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&kind, "kind", string(quantize.Int8), "`kind` of the products: int8, q8 or q4")
	f.StringVar(&dir, "dir", "", "`folder` of the new encoder (default encoders/NAME-KIND in the data folder)")
	f.IntVar(&o.Block, "block", 32, "`weights` that share a scale, of q8, q4 and the embeddings: 16, 32, 64, 128 or 256")
	f.IntVar(&o.Accuracy, "accuracy", 4, "`level` of q8 and q4: 4 rounds activations to 8 bits, 1 does not and is slower")
	f.StringVar(&embeddings, "embeddings", "", "`bits` of the word embeddings: 4, 8 or float, as they are (default 4 with q4, else 8)")
	f.StringArrayVar(&o.Keep, "keep", nil, "`name` of nodes of the graph that stay as they are, with * for any characters; may be repeated")
	f.BoolVar(&whole, "whole-range", false, "weights of int8 take all 8 bits, see above")
	f.StringVar(&texts, "texts", "", "`file` of more texts for the report, one a line")
	f.BoolVar(&force, "force", false, "write the encoder even if it does not give a text one vector")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		o.Kind = quantize.Kind(kind)
		if whole {
			o.Range = quantize.WholeRange
		}
		switch embeddings {
		case "":
		case "float":
			o.Embeddings = quantize.FloatEmbeddings
		default:
			bits, err := strconv.Atoi(embeddings)
			if o.Embeddings = bits; err != nil || bits != 4 && bits != 8 {
				return fmt.Errorf("--embeddings is %q: use 4, 8 or float (%w)", embeddings, errUsage)
			}
		}
		checked := o
		checked.EnsureDefaults()
		if err := checked.Validate(); err != nil {
			return fmt.Errorf("%w (%w)", err, errUsage)
		}
		source, err := a.pulled(given[0])
		if err != nil {
			return err
		}
		if dir == "" {
			if dir, err = a.config.dataFolder(filepath.Join("encoders", filepath.Base(source)+"-"+kind)); err != nil {
				return err
			}
		}
		return a.quantize(cmd.Context(), source, dir, texts, o, force)
	}
	return cmd
}

// pulled returns the folder of an encoder: the one that is named, or that of a model that was pulled by this name.
func (a *app) pulled(name string) (string, error) {
	dir, err := a.config.dataFolder(filepath.Join("encoders", encoderFolder(name)))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(name); err != nil {
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return filepath.Abs(name)
}

// quantize quantises and measures, and shows the report even if that is bad.
func (a *app) quantize(ctx context.Context, source, dir, texts string, o quantize.Options, force bool) error {
	c, err := a.newComparison(ctx, source, texts)
	if err != nil {
		return err
	}
	bars := a.phases()
	defer bars.done()
	var report *quantizeReport
	o.Progress = bars.show
	o.Accept = func(part string, r quantize.Result) error {
		measured, err := c.measure(ctx, part, c.options.Provider, bars.show)
		if err != nil {
			return err
		}
		report = &measured
		report.Dir, report.Encoder, report.Original = dir, r.Card, r.Source.ID
		report.Bytes, report.OriginalBytes, report.Products, report.Embeddings, report.Left = r.Bytes, r.SourceBytes, r.Products, r.Embeddings, r.Left
		if !report.Holds && !force {
			return fmt.Errorf("%w: alone against batched the cosine is %.6f, must be >= %g; nothing was written, --force writes it", errVaries, report.Batched, report.MinBatched)
		}
		return nil
	}
	_, err = quantize.Encoder(ctx, source, dir, o)
	bars.done()
	if report == nil {
		return err
	}
	return errors.Join(a.showQuantized(*report, err == nil), err)
}

func (a *app) showQuantized(r quantizeReport, written bool) error {
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(r)
	}
	t := a.table("", "original", r.kind())
	t.AppendRows([]table.Row{
		{"bytes", humanize.IBytes(uint64(r.OriginalBytes)), fmt.Sprintf("%s (%.0f %%)", humanize.IBytes(uint64(r.Bytes)), 100*float64(r.Bytes)/float64(r.OriginalBytes))},
		{"cosine, lowest and mean", "", fmt.Sprintf("%.4f, %.4f", r.Cosine.Lowest, r.Cosine.Mean)},
		{"flips", "", fmt.Sprintf("%d of %d (%.1f %%)", r.Flips, r.Texts, 100*float64(r.Flips)/float64(r.Texts))},
		{"samples right", fmt.Sprintf("%.1f %%", 100*r.OriginalRight), fmt.Sprintf("%.1f %%", 100*r.Right)},
		{"alone against batched", "", fmt.Sprintf("%.7f %s", r.Batched, map[bool]string{true: "holds", false: "DOES NOT HOLD"}[r.Holds])},
		{"texts/s", fmt.Sprintf("%.1f", r.OriginalPerSecond), fmt.Sprintf("%.1f: %.2f times (%.2f to %.2f)", r.PerSecond, r.Speed.Median, r.Speed.Lowest, r.Speed.Highest)},
	})
	t.Render()
	if r.Products > 0 {
		fmt.Fprintf(a.out, "%d products and %d tables of embeddings replaced, %d products left as they are; ", r.Products, r.Embeddings, len(r.Left))
	}
	fmt.Fprintf(a.out, "%d texts, %d threads of %s\n", r.Texts, r.Threads, r.Provider)
	if written {
		fmt.Fprintf(a.out, "encoder %.12s: use it with --encoder %s, after jobstrom train has made it a classifier\n", r.Encoder.ID, r.Dir)
	}
	return nil
}

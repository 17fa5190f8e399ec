package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/pipeline/embed"
)

func (a *app) modelsCompareCommand() *cobra.Command {
	var texts, with string
	cmd := &cobra.Command{
		Use:   "compare ORIGINAL OTHER",
		Short: "Compare an encoder with another that should give the same vectors",
		Long: `Let the encoders in two folders, or of models that were pulled by their names, encode the samples and the lines of --texts, and report sizes, cosines, flips,
batches and speed as models quantize does, whose --help says what they mean: what was gained and lost by another graph, or by another provider with
--other-provider. The original is computed with --provider.`,
		Example: "  jobstrom models compare encoders/e5-fp32 encoders/e5-int8\n  jobstrom models compare encoders/e5-fp32 encoders/e5-static --other-provider openvino",
		Args:    args(cobra.ExactArgs(2)),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&texts, "texts", "", "`file` of more texts, one a line")
	cmd.Flags().StringVar(&with, "other-provider", "", "what the other is computed `with`: cpu, cuda, coreml or openvino (default --provider)")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if with == "" {
			with = a.config.Provider
		}
		if err := onnx.Provider(with).Validate(); err != nil {
			return fmt.Errorf("--other-%w (%w)", err, errUsage)
		}
		return a.compareEncoders(cmd.Context(), given[0], given[1], texts, onnx.Provider(with))
	}
	return cmd
}

func (a *app) compareEncoders(ctx context.Context, original, other, texts string, provider onnx.Provider) error {
	var dirs [2]string
	var cards [2]models.EncoderCard
	for i, name := range []string{original, other} {
		var err error
		if dirs[i], err = a.pulled(name); err != nil {
			return err
		}
		if cards[i], err = models.ReadEncoderCard(dirs[i]); err != nil {
			return err
		}
	}
	if cards[0].Dim != cards[1].Dim {
		return fmt.Errorf("comparing encoders: %s gives %d components, %s %d: their vectors have nothing in common", original, cards[0].Dim, other, cards[1].Dim)
	}
	c, err := a.newComparison(ctx, dirs[0], texts)
	if err != nil {
		return err
	}
	if a.config.Library == "" { // a process has one library, which must have both providers
		library := embed.Options{Provider: provider}
		library.EnsureDefaults()
		c.options.Library = library.Library
	}
	bars := a.phases()
	defer bars.done()
	r, err := c.measure(ctx, dirs[1], provider, bars.show)
	if err != nil {
		return err
	}
	r.Dir, r.Encoder, r.Original = dirs[1], cards[1], cards[0].ID
	for i, bytes := range []*int64{&r.OriginalBytes, &r.Bytes} {
		if *bytes, err = graphBytes(dirs[i], cards[i]); err != nil {
			return err
		}
	}
	bars.done()
	return a.showQuantized(r, false)
}

// graphBytes are those of an encoder's graph and of the files beside it.
func graphBytes(dir string, card models.EncoderCard) (total int64, err error) {
	for _, f := range append([]models.File{card.Graph}, card.External...) {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Name)))
		if err != nil {
			return 0, fmt.Errorf("comparing encoders: %w", err)
		}
		total += info.Size()
	}
	return total, nil
}

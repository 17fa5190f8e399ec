package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"jobstrom/embedded"
)

// Exit statuses.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
	exitDrift   = 4
	// exitPending says that a plan has something to do.
	exitPending = 5
)

// version is set by the build.
var version = "dev"

// app is what subcommands share: settings, output and log.
type app struct {
	config Config
	out    io.Writer
	err    io.Writer
	in     io.Reader
	log    *slog.Logger
	format string
}

// errUsage marks errors of the command line and the configuration.
var errUsage = errors.New("see jobstrom --help")

// errPartial says that the work was done but some input was refused; what was refused has been reported.
var errPartial = errors.New("some input was refused, see above")

// errRefused says that a model did not pass the gate; why has been said.
var errRefused = errors.New("nothing passes the gate, see above")

// Main runs a command line and returns the exit status.
func Main(args []string) int {
	if len(args) > 0 && args[0] == embedded.EngineCommand {
		return embedded.RunClickHouseEngine(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, args, os.Stdin, os.Stdout, os.Stderr)
}

// run is Main with its surroundings as arguments, for tests.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	a := &app{in: in, out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	err = a.nameDenied(cmd, err)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errPartial), errors.Is(err, errRefused):
		fmt.Fprintln(errOut, "jobstrom:", err)
		return exitPartial
	case errors.Is(err, errPending):
		fmt.Fprintln(errOut, "jobstrom:", err)
		return exitPending
	case errors.Is(err, errDrift):
		fmt.Fprintln(errOut, "jobstrom:", err)
		return exitDrift
	case errors.Is(err, errUsage):
		fmt.Fprintln(errOut, "jobstrom:", err)
		return exitUsage
	}
	fmt.Fprintln(errOut, "jobstrom:", err)
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "jobstrom",
		Short: "Classify job vacancies on Kafka",
		Long: `jobstrom reads job vacancies from Kafka, works out which of Jobnet's 22 categories each belongs to,
publishes the answer on Kafka and keeps it in ClickHouse.

  jobstrom demo                      everything on this machine, with sample vacancies
  jobstrom up                        everything on this machine, waiting for yours
  jobstrom produce vacancies.jsonl   publish vacancies
  jobstrom follow                    watch what arrives on the classified topic
  jobstrom drift report              compare the vacancies of now with those of before
  jobstrom deadletter list           see what could not be processed, and send it again
  jobstrom classify vacancies.jsonl  classify a file without Kafka

Settings come from defaults < jobstrom.yaml < JOBSTROM_* in the environment < flags; every flag has its name in all three
(--kafka-port is kafka-port in the file and JOBSTROM_KAFKA_PORT in the environment).`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			config, err := loadConfig(cmd.Flags())
			if err != nil {
				return fmt.Errorf("%w (%w)", err, errUsage)
			}
			a.config = config
			a.log = config.logger(a.err)
			return nil
		},
	}
	addFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w (%w)", err, errUsage)
	})
	root.AddCommand(
		a.demoCommand(),
		a.upCommand(),
		a.produceCommand(),
		a.followCommand(),
		a.deadletterCommand(),
		a.runCommand(),
		a.serveCommand(),
		a.trainCommand(),
		a.modelsCommand(),
		a.driftCommand(),
		a.classifyCommand(),
		a.extractCommand(),
		a.evaluateCommand(),
		a.checkCommand(),
		a.readyCommand(),
		a.topicsCommand(),
		a.warehouseCommand(),
		a.lagCommand(),
		a.auditCommand(),
		a.eraseCommand(),
		a.reprocessCommand(),
		a.convertCommand(),
		a.benchCommand(),
		a.planCommand(),
		a.tokensCommand(),
		a.versionCommand(),
		a.referenceCommand(),
	)
	return root
}

// formatFlag adds --format to a command that can answer machines.
func (a *app) formatFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.format, "format", "text", "`text` for people or json for machines")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if a.format != "text" && a.format != "json" {
			return fmt.Errorf("--format is %q: use text or json (%w)", a.format, errUsage)
		}
		return nil
	}
}

// args turns cobra's complaint about arguments into a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		if err := check(cmd, given); err != nil {
			return fmt.Errorf("%w: %s (%w)", err, cmd.UseLine(), errUsage)
		}
		return nil
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: args(cobra.NoArgs), RunE: func(*cobra.Command, []string) error {
		info, _ := debug.ReadBuildInfo()
		_, err := fmt.Fprintf(a.out, "jobstrom %s (%s)\n", version, info.GoVersion)
		return err
	}}
}

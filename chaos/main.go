package chaos

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"jobstrom/cluster"
	"jobstrom/embedded"
	"jobstrom/models"
)

// Main runs a command line and returns the exit status: 0, 1 where something is wrong with the flow or the run, 2 for a wrong command line. The same program is its
// own children: the ClickHouse engine and the stub workers.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case len(args) > 0 && args[0] == embedded.EngineCommand:
		return embedded.RunClickHouseEngine(args[1:])
	case len(args) > 0 && args[0] == workerCommand:
		if err := worker(ctx, args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "chaos worker:", err)
			return 1
		}
		return 0
	}
	o, keep, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	}
	var ok bool
	if o.InTurn != nil {
		ok, err = runInTurn(ctx, o, os.Stdout, os.Stderr)
	} else {
		ok, err = runAndReport(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok || keep {
		fmt.Fprintln(os.Stderr, "logs and data of all processes are in", o.Dir)
	} else if err := os.RemoveAll(o.Dir); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok {
		return 1
	}
	return 0
}

func parse(args []string) (o Options, keep bool, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the plan of faults (default a random one, which is printed)")
	flags.IntVar(&o.Vacancies, "vacancies", 100_000, "vacancies to publish")
	flags.Float64Var(&o.Rate, "rate", 60, "vacancies a second")
	flags.IntVar(&o.Kills, "kills", 110, "processes to kill; pauses, added and removed workers come on top")
	flags.BoolVar(&o.StubEncoder, "stub-encoder", false, "embed by a stub instead of the encoder")
	flags.StringVar(&o.GLiNER2, "gliner2", "", "`folder` of a GLiNER2 model that the extract stage asks beside the rules")
	exactlyOnce := flags.Bool("exactly-once", true, "false runs workers that commit outside of transactions, to see that the check notices")
	flags.StringVar(&o.Protocol, "group-protocol", "auto", "consumer group protocol: auto, classic or consumer")
	flags.DurationVar(&o.DrainTimeout, "drain", 0, "longest time from the last fault until nothing is left to do (default 15m)")
	upgrade := flags.String("upgrade-from", "", "`folder` with jobstrom and chaos of the release before: everything begins with it and is replaced one by one, instead of faults")
	soak := flags.Duration("soak", 0, "restart every part in turn in the first half of this `time`, instead of faults, and judge memory and lag")
	flags.StringVar(&o.Plot, "plot", "", "`file` for the picture of a soak (PNG)")
	flags.Float64Var(&o.APIRate, "api-rate", 0, "requests a second to the API of an upgrade or a soak (default 2)")
	jobstrom := flags.String("jobstrom", "bin/jobstrom", "`program` whose stages run; with none, the stub encoder's program runs all of them")
	flags.BoolVar(&keep, "keep", false, "keep logs and data when all is well, too")
	if err := flags.Parse(args); err != nil {
		return o, keep, err
	}
	if flags.NArg() > 0 {
		return o, keep, fmt.Errorf("reading the command line: %q is too many", flags.Args())
	}
	if o.GLiNER2 != "" { // workers run in another folder
		if o.GLiNER2, err = filepath.Abs(o.GLiNER2); err != nil {
			return o, keep, err
		}
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64N(1_000_000) + 1
	}
	if o.AtLeastOnce = !*exactlyOnce; o.AtLeastOnce || *jobstrom == "" {
		o.StubEncoder = true
	} else {
		program, err := filepath.Abs(*jobstrom)
		if err != nil {
			return o, keep, err
		}
		if _, err := os.Stat(program); err != nil {
			return o, keep, fmt.Errorf("finding jobstrom: %w: `make build` makes it", err)
		}
		o.Jobstrom = []string{program}
	}
	if err := o.findParts(); err != nil {
		return o, keep, err
	}
	if o.Libs, err = cluster.FindLibs(filepath.Dir(filepath.Dir(o.Engine))); err != nil {
		return o, keep, err
	}
	if err := o.planInTurn(*upgrade, *soak); err != nil {
		return o, keep, err
	}
	o.Timeline = os.Stderr
	o.Dir, err = os.MkdirTemp("", "jobstrom-chaos-")
	return o, keep, err
}

// planInTurn plans an upgrade or a soak, where one is asked for.
func (o *Options) planInTurn(upgrade string, soak time.Duration) error {
	brokers := 3
	if o.Libs == "" {
		brokers = 0
	}
	switch {
	case upgrade != "" && soak != 0:
		return fmt.Errorf("reading the command line: --upgrade-from and --soak exclude each other")
	case upgrade != "":
		release, err := releaseIn(upgrade)
		if err != nil {
			return err
		}
		o.Previous, o.InTurn = release, UpgradePlan()
	case soak != 0:
		// The first half is for restarts, the second for what comes of them.
		o.InTurn, o.Lasts = RestartPlan(soak/15, soak/2, brokers), soak
	default:
		return nil
	}
	o.Vacancies = math.MaxInt32 // as many as it takes
	return nil
}

// releaseIn finds the programs of a release.
func releaseIn(dir string) (*Release, error) {
	var found [2]string
	for i, name := range []string{"jobstrom", "chaos"} {
		path, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("finding the release before: %w: chaos/previous.sh builds it", err)
		}
		found[i] = path
	}
	return &Release{Jobstrom: []string{found[0]}, Self: []string{found[1]}}, nil
}

// findParts fills in where this program and ClickHouse's engine are. Children run in another folder, so they are told where the native parts are.
func (o *Options) findParts() error {
	native, err := models.NativeDir()
	if err != nil {
		return err
	}
	o.Engine = filepath.Join(native, models.LibraryClickHouse)
	if o.Self, err = self(); err != nil {
		return err
	}
	return os.Setenv(models.NativeEnv, native)
}

// runAndReport runs, and writes what was found; it says whether all is well.
func runAndReport(ctx context.Context, o Options, out, errOut io.Writer) (ok bool, err error) {
	fmt.Fprintln(out, "machine     ", machine())
	report, err := Run(ctx, o)
	if err != nil {
		return false, err
	}
	show(errOut, report.Findings)
	encoder := "the real encoder"
	if o.StubEncoder {
		encoder = "a stub for the encoder"
	}
	if o.GLiNER2 != "" {
		encoder += ", a GLiNER2 model beside the rules"
	}
	fmt.Fprintf(out, "versions      jobstrom %s, %s, ClickHouse %s, %s\n", version(ctx, o.Jobstrom), kafkaVersion(o.Libs), report.ClickHouse, runtime.Version())
	fmt.Fprintf(out, "flow          3 brokers (replication 3, 2 in sync), %d partitions, %d to %d processes a stage, group protocol %s, %s\n", partitions, 1, mostSlots, o.Protocol, encoder)
	fmt.Fprintf(out, "faults        %s\n", summary(report.Plan))
	fmt.Fprintf(out, "published     %d in %.0f s; %d without an acknowledgement, %d of those on the raw topic\n", o.Vacancies, report.Published.Seconds(), report.Unacknowledged, report.Written)
	fmt.Fprintf(out, "drained       %.0f s after the last fault; %d processes ended by themselves and were started again\n", report.Drained.Seconds(), report.Unasked)
	fmt.Fprintf(out, "acknowledged=%d classified=%d deadletters=%d lost=%d duplicated=%d reordered=%d kills=%d seed=%d\n",
		report.Acknowledged, report.Classified, report.Letters, report.Lost, report.Duplicated, report.Reordered, report.Kills, o.Seed)
	return report.OK(), nil
}

// runInTurn runs an upgrade or a soak, and writes what was found.
func runInTurn(ctx context.Context, o Options, out, errOut io.Writer) (ok bool, err error) {
	o.EnsureDefaults()
	fmt.Fprintln(out, "machine     ", machine())
	report, err := Run(ctx, o)
	if err != nil {
		return false, err
	}
	findings := slices.Concat(report.Findings, report.API.Failures)
	soak := Judge(report.Samples, report.Done, o.Rate+o.APIRate/2)
	if o.Lasts > 0 {
		findings = append(findings, soak.Findings...)
	}
	versions := "jobstrom " + version(ctx, o.Jobstrom)
	if o.Previous != nil {
		versions = version(ctx, o.Previous.Jobstrom) + " to " + versions
	}
	encoder := "the real encoder"
	if o.StubEncoder {
		encoder = "a stub for the stream's encoder, the real one in the API"
	}
	brokers := "3 brokers (replication 3, 2 in sync)"
	if o.Libs == "" {
		brokers = "1 broker"
	}
	fmt.Fprintf(out, "versions      %s, %s, ClickHouse %s, %s\n", versions, kafkaVersion(o.Libs), report.ClickHouse, runtime.Version())
	fmt.Fprintf(out, "flow          %s, %d partitions, %s; group protocol %s, %s\n", brokers, partitions, strings.Join(Releases(), ", "), o.Protocol, encoder)
	fmt.Fprintf(out, "steps         %s\n", summary(report.Plan))
	fmt.Fprintf(out, "published     %.0f/s to Kafka and %.1f/s by the API for %.0f s; %d without an acknowledgement, %d of those on the raw topic\n", o.Rate, o.APIRate/2, report.Published.Seconds(), report.Unacknowledged, report.Written)
	fmt.Fprintf(out, "API           %d texts classified, %d requests failed\n", report.API.Answered, len(report.API.Failures))
	fmt.Fprintf(out, "drained       %.0f s after the last vacancy; %d processes ended by themselves and were started again\n", report.Drained.Seconds(), report.Unasked)
	soak.Write(out, report.Done)
	fmt.Fprintf(out, "acknowledged=%d classified=%d deadletters=%d lost=%d duplicated=%d reordered=%d findings=%d\n",
		report.Acknowledged, report.Classified, report.Letters, report.Lost, report.Duplicated, report.Reordered, len(findings))
	show(errOut, findings)
	if o.Plot != "" {
		if err := Draw(o.Plot, report.Samples, report.Done); err != nil {
			return false, err
		}
	}
	return len(findings) == 0, nil
}

// show writes the first findings.
func show(out io.Writer, findings []string) {
	const shown = 20
	for i, finding := range findings {
		if i == shown {
			fmt.Fprintf(out, "… and %d more\n", len(findings)-shown)
			break
		}
		fmt.Fprintln(out, finding)
	}
}

// machine says what this one is.
func machine() string {
	field := func(file, name string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return "unknown"
	}
	return fmt.Sprintf("%s/%s, %d cores (%s), memory %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal"))
}

func version(ctx context.Context, jobstrom []string) string {
	if jobstrom == nil {
		return "of this program"
	}
	out, err := exec.CommandContext(ctx, jobstrom[0], append(jobstrom[1:], "version")...).Output()
	if err != nil {
		return "unknown"
	}
	return string(bytes.TrimPrefix(bytes.TrimSpace(out), []byte("jobstrom ")))
}

func kafkaVersion(libs string) string {
	jars, _ := filepath.Glob(filepath.Join(libs, "kafka_*.jar"))
	if len(jars) == 0 {
		return "the embedded Kafka"
	}
	name := strings.TrimSuffix(filepath.Base(jars[0]), ".jar")
	return "Apache Kafka " + name[strings.LastIndex(name, "-")+1:]
}

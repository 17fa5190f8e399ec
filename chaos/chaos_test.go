package chaos

import (
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/cluster/clustertest"
	"jobstrom/consumers"
	"jobstrom/embedded"
	"jobstrom/kafka"
	"jobstrom/pipeline/extract"
	"jobstrom/pipeline/extract/gliner2/gliner2test"
	"jobstrom/schemas"
)

// TestMain lets this test binary be the engine's and the workers' processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == embedded.EngineCommand || os.Args[1] == workerCommand) {
		os.Exit(Main(os.Args[1:]))
	}
	os.Exit(clustertest.Main(m))
}

// refusals returns what says why the extract stage refuses a vacancy.
func refusals(t *testing.T) func(value []byte) error {
	t.Helper()
	x, err := extract.New(extract.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stage := consumers.Extract(x, kafka.TopicID{1})
	return func(value []byte) error {
		r := &kgo.Record{Topic: kafka.Raw, Key: []byte("k"), Value: value, Headers: []kgo.RecordHeader{{Key: kafka.ContentType, Value: []byte(schemas.JSON)}}}
		answers, err := stage.Answer(t.Context(), []*kgo.Record{r})
		if err != nil {
			t.Fatal(err)
		}
		return answers[0].Err
	}
}

// runWith runs on this machine and logs the timeline and the result.
func runWith(t *testing.T, o Options) *Report {
	t.Helper()
	t.Setenv("JOBSTROM_NATIVE", os.Getenv("JOBSTROM_NATIVE")) // findParts sets it
	if err := o.findParts(); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.StubEncoder, o.Timeline = t.TempDir(), true, t.Output()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, finding := range report.Findings {
		if i == 10 {
			break
		}
		t.Log(finding)
	}
	t.Logf("%d acknowledged, %d classified, %d dead letters, %d kills, drained in %v", report.Acknowledged, report.Classified, report.Letters, report.Kills, report.Drained)
	return report
}

// The promise, in short: whatever is killed, each vacancy is answered once, in order. Where Java is, three brokers are among what is killed.
func TestNothingIsLostDoubledOrReordered(t *testing.T) {
	f := func(name, libs string, o Options) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			o.Libs = libs
			report := runWith(t, o)
			if !report.OK() {
				t.Errorf("lost %d, duplicated %d, reordered %d", report.Lost, report.Duplicated, report.Reordered)
			}
			if report.Kills != o.Kills || report.Acknowledged == 0 || report.Classified+report.Letters != report.Acknowledged+report.Written {
				t.Errorf("%d kills of %d, %d acknowledged and %d more written", report.Kills, o.Kills, report.Acknowledged, report.Written)
			}
		})
	}
	o := Options{Seed: 1, Vacancies: 750, Rate: 30, Kills: 4}
	withModel := Options{Seed: 3, Vacancies: 400, Rate: 30, Kills: 6, GLiNER2: gliner2test.Dir(t, "../pipeline/extract/gliner2/testdata/tiny")}
	f("embedded, with GLiNER2", "", withModel)
	if libs, err := clustertest.FindLibs(); err == nil {
		f("three brokers", libs, o)
	} else if os.Getenv(clustertest.Env) == "required" {
		t.Fatal(err)
	} else {
		t.Logf("SKIPPED with Apache Kafka, no broker is killed: %v", err)
		f("embedded", "", o)
	}
}

// A check that finds nothing must be able to find something: workers that commit as most consumers do answer again what they had answered before they were killed.
func TestCheckFindsDuplicatesWithoutExactlyOnce(t *testing.T) {
	// 30 s, with kills to the end: on a busy machine workers take a while until they have answered something that could be answered again.
	report := runWith(t, Options{Seed: 2, Vacancies: 1500, Rate: 50, Kills: 8, AtLeastOnce: true})
	if report.Duplicated == 0 || report.OK() {
		t.Error("workers that are not exactly-once made no duplicates, or the check did not see them")
	}
	if report.Lost > 0 {
		t.Errorf("%d lost by workers that are at least once", report.Lost)
	}
	if len(report.Findings) == 0 {
		t.Error("the duplicates are counted, but not named")
	}
}

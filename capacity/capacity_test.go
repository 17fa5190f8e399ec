package capacity

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// figures are round numbers, so that the arithmetic can be followed by hand.
var figures = Measured{
	Machine: "m", Version: "v", Provider: "cpu", Encoder: "e", EncoderID: "id", Dimensions: 100, Vacancies: 10, VacancyBytes: 1000,
	ExtractMS: .9, EmbedMS: 99.9, ClassifyMS: .1, StageMS: .1, SinkMS: .2, ClickHouseMS: .5,
	RawBytes: 500, ExtractedBytes: 600, EmbeddedBytes: 800, ClassifiedBytes: 300, EmbeddingRowBytes: 700, PredictionRowBytes: 200, SimilarRowBytes: 900, IndexRowBytes: 400,
}

func TestPlan(t *testing.T) {
	p, err := For(Demand{PerDay: 864_000, Utilisation: .5, Outage: time.Hour, Keep: 100 * day, WithoutSimilar: true}, figures)
	if err != nil {
		t.Fatal(err)
	}
	if p.Mean != 10 || p.Busiest != 30 || p.Needed != 30 {
		t.Errorf("rates are %v, %v and %v, want 10, 30 and 30", p.Mean, p.Busiest, p.Needed)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*want {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	// 30 a second × .1 s over half of a processor = 6 processors, two processes of 4.
	near("processors that embed", p.Stages[1].Processors, 6)
	near("processors that extract", p.Stages[0].Processors, .06)
	var processes []int
	for _, s := range p.Stages {
		processes = append(processes, s.Processes)
	}
	if diff := cmp.Diff([]int{2, 2, 2, 2}, processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if p.Partitions != 36 || p.Flows != 1 { // 2 × 2 processes × 2 workers × 4 = 32
		t.Errorf("%d partitions of %d flows, want 36 of one", p.Partitions, p.Flows)
	}
	near("the raw topic", p.Topics[0].Bytes, 500*864_000*8*3)
	near("the classified topic", p.Topics[3].Bytes, 300*864_000*31*3)
	near("what Kafka is sent", p.KafkaIn, 30*(500+600+800+300))
	near("what Kafka sends", p.KafkaOut, 30*(500+600+2*800+2*300))
	near("the embeddings", p.Tables[0].Bytes, 700*86_400_000)
	near("ClickHouse", p.ClickHouseBytes, 2*900*86_400_000)
	if p.SimilarMemory != 0 || p.Shards != 1 {
		t.Errorf("%v bytes for the index and %d shards, want none and 1", p.SimilarMemory, p.Shards)
	}
	if first := p.Limits[0]; first.Name != "one process embeds" || first.Share != 1.5 || first.PerDay != 576_000 {
		t.Errorf("first breaks %+v", first)
	}

	p, err = For(Demand{PerDay: 864_000, Outage: 16 * time.Hour}, figures)
	if err != nil {
		t.Fatal(err)
	}
	near("what catches up", p.Needed, 50)
	near("memory of the index", p.SimilarMemory, 864_000*365*400)
	if p.Shards != 4 { // 126 GB of index in halves of 64 GB
		t.Errorf("%d shards, want 4", p.Shards)
	}
}

// More of anything never needs less of anything, and no figure is none.
func TestMoreNeverNeedsLess(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	needs := func(p Plan) map[string]float64 {
		all := map[string]float64{"needed": p.Needed, "partitions": float64(p.Partitions * p.Flows), "Kafka": p.KafkaBytes, "in": p.KafkaIn, "out": p.KafkaOut, "ClickHouse": p.ClickHouseBytes,
			"ClickHouse's processors": p.ClickHouseProcessors, "index": p.SimilarMemory, "shards": float64(p.Shards)}
		for _, s := range p.Stages {
			all[s.Name], all[s.Name+"'s processes"] = s.Processors, float64(s.Processes)
		}
		return all
	}
	for range 2000 {
		d := Demand{
			PerDay: math.Pow(10, 12*random.Float64()-1), Peak: 1 + 9*random.Float64(), Outage: time.Duration(random.Int64N(int64(24 * time.Hour))), Keep: time.Duration(1+random.IntN(3000)) * day,
			Replication: 1 + random.IntN(5), Replicas: 1 + random.IntN(3), Encoders: 1 + random.IntN(4), Growth: 1 + 5*random.Float64(),
		}
		if d.PerDay > 1e12 {
			continue
		}
		less, err := For(d, figures)
		if err != nil {
			t.Fatalf("%+v: %v", d, err)
		}
		more, m := d, figures
		switch random.IntN(8) {
		case 0:
			more.PerDay = min(1e12, 1.5*d.PerDay)
		case 1:
			more.Peak += 1
		case 2:
			more.Outage += time.Hour
		case 3:
			more.Keep += 10 * day
		case 4:
			more.Replication++
		case 5:
			more.Encoders++
		case 6:
			more.Replicas++
		case 7:
			m = figures.With(3000)
		}
		greater, err := For(more, m)
		if err != nil {
			t.Fatalf("%+v: %v", more, err)
		}
		was := needs(less)
		for name, value := range needs(greater) {
			if value < was[name]*(1-1e-12) || math.IsNaN(value) || math.IsInf(value, 0) {
				t.Fatalf("%s: %v for\n%+v\nbut %v for\n%+v", name, was[name], d, value, more)
			}
		}
		for i, l := range greater.Limits {
			if i > 0 && l.PerDay < greater.Limits[i-1].PerDay {
				t.Fatalf("limits are out of order: %+v", greater.Limits)
			}
		}
	}
}

// At a limit the share is 1.
func TestLimitsAreWhereTheyAreSaid(t *testing.T) {
	p, err := For(Demand{PerDay: 1e6}, figures)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range p.Limits {
		at, err := For(Demand{PerDay: l.PerDay}, figures)
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range at.Limits {
			if again.Name == l.Name && math.Abs(again.Share-1) > 1e-9 {
				t.Errorf("%s: the share is %v at %v a day", l.Name, again.Share, l.PerDay)
			}
		}
	}
}

func TestBadDemands(t *testing.T) {
	for want, d := range map[string]Demand{
		"vacancies-per-day (0)":  {},
		"vacancies-per-day (-1)": {PerDay: -1},
		"peak (0.5)":             {PerDay: 1, Peak: .5},
		"Kafka deletes":          {PerDay: 1, Outage: 100 * time.Hour, Topics: Retention{Raw: 50 * time.Hour}},
		"utilisation (2)":        {PerDay: 1, Utilisation: 2},
		"retention (1m0s)":       {PerDay: 1, Keep: time.Minute},
		"vacancies-per-day (NaN": {PerDay: math.NaN()},
		"encoders (17)":          {PerDay: 1, Encoders: 17},
	} {
		if _, err := For(d, figures); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", d, err, want)
		}
	}
	broken := figures
	broken.EmbedMS, broken.RawBytes = 0, math.Inf(1)
	if _, err := For(Demand{PerDay: 1}, broken); err == nil || !strings.Contains(err.Error(), "embed_ms (0)") || !strings.Contains(err.Error(), "raw_bytes (+Inf)") {
		t.Errorf("got %v", err)
	}
}

func TestMeasuredIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "measured.json")
	if err := figures.Write(file); err != nil {
		t.Fatal(err)
	}
	again, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(figures, again); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if err := (Measured{}).Write(filepath.Join(t.TempDir(), "empty.json")); err == nil {
		t.Error("nothing was written as if it had been measured")
	}
	whole, err := json.Marshal(figures)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"cut off": string(whole[:20]), "empty": "", "another's": `{"embed": 1}`, "a figure less": strings.Replace(string(whole), `"stage_ms":0.1`, `"stage_ms":0`, 1)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "bench tune --measured") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBuiltIn(t *testing.T) {
	if m := BuiltIn(); m.Encoder == "" || m.Machine == "" || m.EncoderID == "" {
		t.Errorf("it does not say what it is of: %+v", m)
	}
	twice := figures.With(2000)
	if twice.EmbedMS != 2*figures.EmbedMS || twice.EmbeddedBytes != figures.EmbeddedBytes || twice.VacancyBytes != 2000 {
		t.Errorf("vacancies of twice the length: %+v", twice)
	}
}

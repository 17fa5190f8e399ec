package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"jobstrom/kafka"
	"jobstrom/models"
	"jobstrom/pipeline/classify"
	"jobstrom/pipeline/embed"
	"jobstrom/schemas"
	"jobstrom/server/access"
	"jobstrom/warehouse"
)

// finding is the outcome of one check.
type finding struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Note  string `json:"note"`
}

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check",
		Aliases: []string{"doctor"},
		Short:   "Check libraries, model, Kafka, ClickHouse and settings, and say what to do",
		Args:    args(cobra.NoArgs),
	}
	a.formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		checks := []struct {
			name  string
			check func(context.Context) (string, error)
		}{
			{"settings", func(context.Context) (string, error) { return "valid", nil }}, // or this would not run
			{"encoder", a.checkModel},
			{"ONNX Runtime", a.checkRuntime},
			{"extractor", a.checkExtractor},
			{"classifier", a.checkClassifier},
			{"Kafka", a.checkKafka},
			{"schemas", a.checkSchemaRegistry},
			{"ClickHouse", a.checkClickHouse},
			{"web address", func(context.Context) (string, error) { return a.checkWeb() }},
			{"data folder", func(context.Context) (string, error) { return writable(a.config.Data) }},
		}
		findings, failed := []finding{}, 0
		for _, c := range checks {
			note, err := c.check(cmd.Context())
			if err != nil {
				note = err.Error()
				failed++
			}
			findings = append(findings, finding{c.name, err == nil, note})
		}
		if a.format == "json" {
			if err := json.NewEncoder(a.out).Encode(findings); err != nil {
				return err
			}
		} else {
			for _, f := range findings {
				mark := "ok  "
				if !f.OK {
					mark = "FAIL"
				}
				fmt.Fprintf(a.out, "%s  %-13s %s\n", mark, f.Check, f.Note)
			}
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d checks failed", failed, len(checks))
		}
		return nil
	}
	return cmd
}

func (a *app) encoderDir() string { return a.config.embedOptions().ModelDir }

func (a *app) checkModel(context.Context) (string, error) {
	card, err := models.Verify(a.encoderDir())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d dimensions, %d tokens, %.12s", card.Name, card.Dim, card.MaxTokens, card.ID), nil
}

func (a *app) checkRuntime(ctx context.Context) (string, error) {
	encoder, err := embed.New(a.config.embedOptions())
	if err != nil {
		return "", err
	}
	defer encoder.Close()
	start := time.Now()
	if _, err := encoder.Embed(ctx, []string{"Vi søger en tømrer"}); err != nil {
		return "", err
	}
	return fmt.Sprintf("one text in %d ms", time.Since(start).Milliseconds()), nil
}

func (a *app) checkExtractor(ctx context.Context) (string, error) {
	x, err := a.extractor(nil, false)
	if err != nil {
		return "", err
	}
	defer x.Close()
	start := time.Now()
	results, err := x.Extract(ctx, []*schemas.Vacancy{{Text: "Vi søger en tømrer til tagarbejde."}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.20s: %d entities of a text in %d ms", x.Identity(), len(results[0].Extraction.GetEntities()), time.Since(start).Milliseconds()), nil
}

func (a *app) checkClassifier(context.Context) (string, error) {
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return "", err
	}
	c, err := classify.Default(schemas.Jobnet(), card.ID)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("default %.12s", c.Model()), nil
}

func (a *app) checkKafka(ctx context.Context) (string, error) {
	if len(a.config.Brokers) == 0 {
		return free(fmt.Sprintf("127.0.0.1:%d", a.config.KafkaPort), "--kafka-port")
	}
	options := a.config.kafkaOptions(a.log)
	client, err := kafka.NewClient(options)
	if err != nil {
		return "", err
	}
	defer client.Close()
	if err := kafka.Reach(ctx, client, 5*time.Second); err != nil {
		return "", err
	}
	card, err := models.ReadEncoderCard(a.encoderDir())
	if err != nil {
		return "", err
	}
	rights, err := kafkaRights(ctx, client, card.ID)
	return "answers; " + options.Security() + "; " + rights, err
}

func (a *app) checkSchemaRegistry(ctx context.Context) (string, error) {
	registry := a.config.schemaRegistry()
	if len(registry.URLs) == 0 {
		return "no registry, values are written bare", nil
	}
	return "the registry answers", registry.Reach(ctx)
}

// kafkaRights says which commands the user may run, and what the others lack. Lacking is no fault: a worker needs the rights of its stage only.
func kafkaRights(ctx context.Context, client *kgo.Client, encoder string) (string, error) {
	var may, lacks []string
	for _, role := range kafka.Roles(encoder) {
		missing, err := kafka.Missing(ctx, client, role.Rights)
		if err != nil {
			return "", err
		}
		if len(missing) == 0 {
			may = append(may, role.Command)
			continue
		}
		var names []string
		for _, r := range missing {
			names = append(names, r.String())
		}
		lacks = append(lacks, role.Command+" lacks "+strings.Join(names, ", "))
	}
	if len(lacks) == 0 {
		return "all rights", nil
	}
	return strings.Join(append([]string{"may " + cmp.Or(strings.Join(may, ", "), "run nothing")}, lacks...), "; "), nil
}

func (a *app) checkClickHouse(ctx context.Context) (string, error) {
	if len(a.config.ClickHouse) > 0 {
		options := a.config.warehouseOptions()
		w, err := warehouse.Open(ctx, options)
		if err != nil {
			return "", err
		}
		defer w.Close()
		note := "answers; " + options.Security()
		if a.config.EmbedReuse {
			if _, err := w.ReadVectors(ctx, "none", []warehouse.TextHash{warehouse.HashText("none")}); err != nil {
				return "", fmt.Errorf("%w: --embed-reuse needs SELECT on embedding_rows and erasure_rows, and a schema that a sink of this version has brought up to date", err)
			}
			note += "; vectors can be reused"
		}
		return note, nil
	}
	engine := a.config.engineLibrary()
	if engine == "" {
		path, err := exec.LookPath("clickhouse")
		if err != nil {
			return "", errors.New("no bundled ClickHouse for this machine and no clickhouse on PATH: install version 26.6 or newer")
		}
		engine = path
	} else if _, err := os.Stat(engine); err != nil {
		return "", fmt.Errorf("%w: make setup fetches it", err)
	}
	for _, p := range []struct {
		port int
		flag string
	}{{a.config.ClickHousePort, "--clickhouse-port"}, {a.config.ClickHouseHTTP, "--clickhouse-http-port"}} {
		if _, err := free(fmt.Sprintf("127.0.0.1:%d", p.port), p.flag); err != nil {
			return "", err
		}
	}
	return "embedded, " + filepath.Base(engine) + ", ports free", nil
}

// checkWeb says whether the web pages and the API can be served as they are set.
func (a *app) checkWeb() (string, error) {
	if err := a.config.checkReach(); err != nil {
		return "", err
	}
	if _, err := a.config.serverTLS().Config(a.log); err != nil {
		return "", err
	}
	if a.config.Tokens != "" {
		if _, err := access.ReadTokens(a.config.Tokens); err != nil {
			return "", err
		}
	}
	note, err := free(a.config.HTTP, "--http")
	return note + "; " + a.config.reachNote(), err
}

// free says whether an address can be listened on.
func free(address, flag string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("%w: a jobstrom that runs already, or choose another with %s", err, flag)
	}
	return address + " is free", l.Close()
}

// writable says whether a folder can be made and written.
func writable(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("%w: choose another with --data", err)
	}
	f, err := os.CreateTemp(folder, ".check-*")
	if err != nil {
		return "", fmt.Errorf("%w: choose another with --data", err)
	}
	f.Close()
	return folder + " can be written", os.Remove(f.Name())
}

package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"jobstrom/models"
	"jobstrom/models/fetch"
	"jobstrom/models/repository"
	"jobstrom/security"
)

// Environment variables that users of a hub have set already. Settings of ours go before them.
const (
	hubEndpointEnv = "HF_ENDPOINT"
	hubTokenEnv    = "HF_TOKEN"
)

// Hub holds the settings of how a hub of models is come to.
type Hub struct {
	HubEndpoint   string          `koanf:"hub-endpoint"`
	HubToken      security.Secret `koanf:"hub-token"`
	HubTokenFile  string          `koanf:"hub-token-file"`
	HubCA         string          `koanf:"hub-ca"`
	HubCert       string          `koanf:"hub-cert"`
	HubKey        string          `koanf:"hub-key"`
	HubServerName string          `koanf:"hub-server-name"`
}

func addHubFlags(f *pflag.FlagSet) {
	f.String("hub-endpoint", "", "`address` of a Hugging Face-compatible hub (default "+hubEndpointEnv+", else "+fetch.DefaultEndpoint+")")
	secretFlag(f, "hub-token", "the token for the hub (default "+hubTokenEnv+")")
	f.String("hub-ca", "", "PEM `file` of the authorities that may sign the hub's certificate (default the machine's)")
	f.String("hub-cert", "", "PEM `file` of a certificate to show to the hub")
	f.String("hub-key", "", "PEM `file` of that certificate's private key")
	f.String("hub-server-name", "", "`name` that the hub's certificate is for, where that is not the host of its address")
}

func (h Hub) hubTLS() security.TLS {
	return security.TLS{Enabled: true, CA: h.HubCA, Cert: h.HubCert, Key: h.HubKey, ServerName: h.HubServerName}
}

// hubToken returns the token that is set, else the one that the hub's own clients would take.
func (h Hub) hubToken() security.Credential {
	token := security.Credential{Value: h.HubToken, File: h.HubTokenFile}
	if token.IsZero() {
		token.Value = security.Secret(strings.TrimSpace(os.Getenv(hubTokenEnv)))
	}
	return token
}

// Validate reports every violation.
func (h Hub) Validate() error {
	return errors.Join(append(h.hubTLS().Validate("hub"), h.hubToken().Validate("hub-token"))...)
}

// pulledJSON is a pulled model for machines: an encoder or an extractor.
type pulledJSON struct {
	Name      string                `json:"name"`
	Revision  string                `json:"revision"`
	Dir       string                `json:"dir"`
	Cached    bool                  `json:"cached"`
	Encoder   *models.EncoderCard   `json:"encoder,omitempty"`
	Extractor *models.ExtractorCard `json:"extractor,omitempty"`
	Files     []pulledFileJSON      `json:"files"`
}

type pulledFileJSON struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

func (a *app) modelsPullCommand() *cobra.Command {
	var revision, graph, precision, dir, extractorDir, most string
	var offline bool
	var describe repository.Options
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Make an encoder or an extractor of a model on a hub, at an https address or in a folder",
		Long: `Download what an encoder needs of a model: its configuration, its tokenizer, the modules of sentence-transformers and one ONNX graph with its data; or what an
extractor needs, where the model has a gliner2_config.json: its configuration, its tokenizer and its graphs in one precision.
NAME is a model of a Hugging Face-compatible hub, an https address that the files lie below, or a folder, which begins with ./ or /.

Each file is verified against the hub's hash; files at an address have none, they are as trustworthy as its certificate. A pull that was
cut off goes on where it ended. The encoder's card is derived from the model's own files: pooling, normalisation, dense layers, prompt, longest input. Another prompt or graph
is another encoder, with vectors of its own. --encoder takes the folder that is printed, --gliner2 that of an extractor. What was pulled once is kept in hub/ in the data folder (--data) and needs the hub no more: --offline asks nobody, and a
hub that is away is done without, which is said. The environment variables ` + hubEndpointEnv + ` and ` + hubTokenEnv + ` are honoured.`,
		Example: `  jobstrom models pull intfloat/multilingual-e5-small
  jobstrom models pull intfloat/multilingual-e5-large-instruct --prompt vacancy
  jobstrom models pull https://models.example.com/e5 --dir encoders/e5
  jobstrom models pull ./exported --graph model.onnx --format json
  jobstrom models pull lmo3/gliner2-multi-v1-onnx --precision fp16`,
		Args: args(cobra.ExactArgs(1)),
	}
	a.formatFlag(cmd)
	cmd.Flags().StringVar(&revision, "revision", "main", "branch, tag or `commit` of the model")
	cmd.Flags().StringVar(&graph, "graph", fetch.DefaultGraph, "the ONNX `file`, by its path in the model")
	cmd.Flags().StringVar(&precision, "precision", models.FP32, "of an extractor's graphs: `fp32` or fp16, which is half as large")
	cmd.Flags().StringVar(&dir, "dir", "", "`folder` of the model (default encoders/NAME or extractors/NAME in the data folder; a folder that is pulled is used where it is)")
	cmd.Flags().StringVar(&describe.Prompt, "prompt", "", "what stands before every text: the `name` of one of the model's prompts, vacancy (the instruction of the reference system, for encoders trained with instructions), or a text (default the model's default prompt)")
	cmd.Flags().IntVar(&describe.MaxTokens, "max-tokens", 0, "longest input in `tokens` (default the model's)")
	cmd.Flags().BoolVar(&offline, "offline", false, "use what was pulled before, ask nobody")
	cmd.Flags().StringVar(&most, "max-bytes", "8GiB", "`bytes` that the files may have together")
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		bytes, err := humanize.ParseBytes(most)
		if err != nil || bytes == 0 || bytes > 1<<50 {
			return fmt.Errorf("--max-bytes is %q: it must be bytes like 8GiB, at most 1PiB (%w)", most, errUsage)
		}
		if dir == "" && !fetch.IsFolder(given[0]) {
			if dir, err = a.config.dataFolder(filepath.Join("encoders", encoderFolder(given[0]))); err != nil {
				return err
			}
			if extractorDir, err = a.config.dataFolder(filepath.Join("extractors", encoderFolder(given[0]))); err != nil {
				return err
			}
		}
		cache, err := a.config.dataFolder("hub")
		if err != nil {
			return err
		}
		bars := a.phases()
		s, err := fetch.Pull(cmd.Context(), given[0], fetch.Options{
			Endpoint: cmp.Or(a.config.HubEndpoint, os.Getenv(hubEndpointEnv)), Token: a.config.hubToken(), TLS: a.config.hubTLS(),
			Revision: revision, Graph: graph, Precision: precision, Cache: cache, Dir: dir, ExtractorDir: extractorDir, Offline: offline, MaxBytes: int64(bytes), Logger: a.log,
			Progress: func(file string, done, total int64) { bars.show(file, int(done), int(total)) },
		})
		bars.done()
		if err != nil {
			return err
		}
		describe.Name, describe.Source, describe.Graph = filepath.Base(s.Dir), s.Name+" at "+s.Revision, graph
		if s.Extractor {
			if describe.Prompt != "" || describe.MaxTokens != 0 {
				return fmt.Errorf("--prompt and --max-tokens are for encoders, %s is an extractor (%w)", given[0], errUsage)
			}
			card, err := repository.Extractor(s.Dir, describe)
			if err != nil {
				return err
			}
			if err := models.WriteExtractorCard(s.Dir, card); err != nil {
				return err
			}
			return a.showPulledExtractor(s, card)
		}
		card, err := repository.Card(s.Dir, describe)
		if err != nil {
			return err
		}
		if err := models.WriteEncoderCard(s.Dir, card); err != nil {
			return err
		}
		return a.showPulled(s, card)
	}
	return cmd
}

// encoderFolder names the folder of an encoder after its source.
func encoderFolder(source string) string {
	if _, after, address := strings.Cut(source, "://"); address {
		if u, err := url.Parse(source); err == nil {
			after = path.Base(u.Host + u.Path)
		}
		source = after
	}
	return strings.NewReplacer("/", "--", ":", "_", "?", "_").Replace(strings.Trim(source, "/."))
}

func (a *app) showPulled(s fetch.Snapshot, card models.EncoderCard) error {
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(tellPulled(s, pulledJSON{Encoder: &card}))
	}
	a.showPulledFiles(s)
	fmt.Fprintf(a.out, "encoder %.12s: %d dimensions, %s pooling, up to %d tokens, prompt %q\n", card.ID, card.Dim, card.Pooling, card.MaxTokens, card.Prefix)
	for _, note := range card.Notes {
		fmt.Fprintln(a.out, "note:", note)
	}
	fmt.Fprintf(a.out, "use it with --encoder %s\n", s.Dir)
	return nil
}

func (a *app) showPulledExtractor(s fetch.Snapshot, card models.ExtractorCard) error {
	if a.format == "json" {
		return json.NewEncoder(a.out).Encode(tellPulled(s, pulledJSON{Extractor: &card}))
	}
	a.showPulledFiles(s)
	a.showExtractor(s.Dir, card)
	return nil
}

// showExtractor says what an extractor is, and how it is used.
func (a *app) showExtractor(dir string, card models.ExtractorCard) {
	precisions := strings.Join(slices.Sorted(maps.Keys(card.Graphs)), ", ")
	fmt.Fprintf(a.out, "extractor %.12s: GLiNER2, %d dimensions, entities of up to %d words, weights in %s\n", card.ID, card.Hidden, card.MaxWidth, precisions)
	for _, note := range card.Notes {
		fmt.Fprintln(a.out, "note:", note)
	}
	precision := ""
	if _, there := card.Graphs[models.FP32]; !there {
		precision = " --gliner2-precision " + precisions
	}
	fmt.Fprintf(a.out, "use it with --extractor gliner2 --gliner2 %s%s\n", dir, precision)
}

// tellPulled fills in what is said of a model of any kind.
func tellPulled(s fetch.Snapshot, told pulledJSON) pulledJSON {
	told.Name, told.Revision, told.Dir, told.Cached = s.Name, s.Revision, s.Dir, s.Cached
	for _, f := range s.Files {
		told.Files = append(told.Files, pulledFileJSON(f))
	}
	return told
}

func (a *app) showPulledFiles(s fetch.Snapshot) {
	t := a.table("file", "bytes", "SHA-256")
	var sum int64
	for _, f := range s.Files {
		t.AppendRow(table.Row{f.Name, f.Size, f.SHA256[:12]})
		sum += f.Size
	}
	t.Render()
	asked := ""
	if s.Cached {
		asked = ", from the cache: nobody was asked for a newer one"
	}
	fmt.Fprintf(a.out, "%s at %.12s: %d files, %s%s\n", s.Name, s.Revision, len(s.Files), humanize.IBytes(uint64(sum)), asked)
}

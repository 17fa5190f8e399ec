package fetch

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// Whatever a hub says, what is taken from it stays in its folder and has sizes and hashes that can be checked.
func FuzzHubListing(f *testing.F) {
	h := &hub{commits: map[string]map[string][]byte{firstCommit: testFiles()}}
	for _, blobs := range []bool{true, false} {
		data, err := json.Marshal(h.answer(firstCommit, blobs))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, said := range []string{
		``, `null`, `[]`, `{"sha":"` + firstCommit + `"}`, `{"sha":"` + firstCommit + `","siblings":[{"rfilename":"../x","size":1}]}`,
		`{"sha":"` + firstCommit + `","siblings":[{"rfilename":"onnx/model.onnx","size":-1,"lfs":{"sha256":"x","size":9e99}}]}`,
		`{"sha":"` + firstCommit + `","siblings":[{"rfilename":"config.json","size":9223372036854775807},{"rfilename":"tokenizer.json","size":9223372036854775807},{"rfilename":"onnx/model.onnx","size":1}]}`,
	} {
		f.Add([]byte(said))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseHub(data)
		if err != nil {
			return
		}
		files, err := wanted(l.Files, DefaultGraph)
		if err != nil {
			return
		}
		for i := range files {
			if !filepath.IsLocal(files[i].Name) {
				t.Errorf("%q leads out of its folder", files[i].Name)
			}
			if files[i].Hash == "" {
				files[i].Size = 0 // described later
			} else if files[i].Size < 0 || !filepath.IsLocal(files[i].Hash) || len(files[i].Hash) < 40 {
				t.Errorf("%+v cannot be checked", files[i])
			}
		}
		if sum, err := wantedSize(files, 1<<40); err == nil && (sum < 0 || sum > 1<<40) {
			t.Errorf("the sum is %d", sum)
		}
		kept, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var again listing
		if err := json.Unmarshal(kept, &again); err != nil || again.check() != nil || len(again.Files) != len(l.Files) {
			t.Errorf("what the cache keeps is read as %+v: %v, %v", again, err, again.check())
		}
	})
}

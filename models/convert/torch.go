package convert

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"jobstrom/models"
	"jobstrom/schemas"
)

const (
	maxMembers = 10_000
	saveAgain  = "save it again, with torch.save(model.state_dict(), FILE) of PyTorch 1.6 or newer"
)

// nested are the keys under which a checkpoint keeps its state_dict.
var nested = []string{"state_dict", "model_state_dict", "model_state", "model"}

// torchArchive is a file of torch.save: a zip that holds a pickle, and each storage's numbers in a member of its own.
type torchArchive struct {
	members map[string]*zip.File // by their name under the archive's one folder
	order   binary.ByteOrder
}

// readTorch reads a state_dict of one linear layer. Errors wrap schemas.ErrMalformed or ErrNotLinear.
func readTorch(data []byte) (*linear, error) {
	a, err := openTorch(data)
	if err != nil {
		return nil, err
	}
	pickle, err := a.read("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	saved, err := unpickle(pickle)
	if err != nil {
		return nil, err
	}
	weight, bias, err := findLayer(saved)
	if err != nil {
		return nil, err
	}
	l := &linear{format: "PyTorch state_dict", temperature: 1, dim: int(weight.sizes[1])}
	weights, err := a.tensor(weight)
	if err != nil {
		return nil, fmt.Errorf("reading weight: %w", err)
	}
	biases := make([]float64, weight.sizes[0])
	if bias != nil {
		if bias.sizes[0] != weight.sizes[0] {
			return nil, fmt.Errorf("%w state_dict: bias has %d numbers, weight %d rows", schemas.ErrMalformed, bias.sizes[0], weight.sizes[0])
		}
		if biases, err = a.tensor(bias); err != nil {
			return nil, fmt.Errorf("reading bias: %w", err)
		}
	}
	for r, b := range biases {
		l.columns = append(l.columns, []row{{weights: weights[r*l.dim : (r+1)*l.dim], bias: b}})
	}
	return l, nil
}

// openTorch checks the zip's table. Nothing is read of members yet, and nothing is ever written.
func openTorch(data []byte) (*torchArchive, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("%w torch file: it is no whole zip (%v): %s", schemas.ErrMalformed, err, saveAgain)
	}
	if len(z.File) > maxMembers {
		return nil, fmt.Errorf("%w torch file: %d members, at most %d are read", schemas.ErrMalformed, len(z.File), maxMembers)
	}
	a, root := &torchArchive{members: map[string]*zip.File{}, order: binary.LittleEndian}, ""
	for _, m := range z.File {
		if !fs.ValidPath(strings.TrimSuffix(m.Name, "/")) {
			return nil, fmt.Errorf("%w torch file: the name of its member %.80q leads out of it", schemas.ErrMalformed, m.Name)
		}
		if path.Base(m.Name) == "data.pkl" && strings.Count(m.Name, "/") == 1 {
			root = path.Dir(m.Name) + "/"
		}
	}
	for _, m := range z.File {
		name, inside := strings.CutPrefix(m.Name, root)
		if _, twice := a.members[name]; twice {
			return nil, fmt.Errorf("%w torch file: two members are named %.80q", schemas.ErrMalformed, m.Name)
		}
		if inside {
			a.members[name] = m
		}
	}
	if root == "" {
		return nil, fmt.Errorf("%w torch file: it is a zip without */data.pkl: %s", schemas.ErrMalformed, saveAgain)
	}
	if a.members["byteorder"] != nil {
		order, err := a.read("byteorder", 16)
		if err != nil {
			return nil, err
		}
		switch string(order) {
		case "little":
		case "big":
			a.order = binary.BigEndian
		default:
			return nil, fmt.Errorf("%w torch file: byteorder is %.20q, must be little or big", schemas.ErrMalformed, order)
		}
	}
	return a, nil
}

// read returns a member of at most so many bytes. Torch stores members as they are, so none can claim more than the file has.
func (a *torchArchive) read(name string, most uint64) ([]byte, error) {
	m := a.members[name]
	if m == nil {
		return nil, fmt.Errorf("%w torch file: member %.80q is missing", schemas.ErrMalformed, name)
	}
	if m.Method != zip.Store {
		return nil, fmt.Errorf("%w torch file: member %.80q is compressed, torch compresses none: %s", schemas.ErrMalformed, name, saveAgain)
	}
	if m.UncompressedSize64 != m.CompressedSize64 || m.UncompressedSize64 > most {
		return nil, fmt.Errorf("%w torch file: member %.80q claims %d bytes, at most %d are read", schemas.ErrMalformed, name, m.UncompressedSize64, most)
	}
	r, err := m.Open()
	if err == nil {
		var b []byte
		b, err = io.ReadAll(r) // to its end, which is what compares the checksum
		err = errors.Join(err, r.Close())
		if err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w torch file: reading member %.80q: %v: the file is damaged or cut off", schemas.ErrMalformed, name, err)
}

// findLayer finds the weight, [rows, dim], and the bias, [rows] or nil, of the only layer.
func findLayer(saved any) (weight, bias *pickledTensor, err error) {
	state, _ := saved.(*pickledDict)
	for range 2 { // a checkpoint may hold {"model": {"state_dict": …}}
		for _, key := range nested {
			if inner, ok := state.lookup(key).(*pickledDict); ok {
				state = inner
				break
			}
		}
	}
	if state == nil {
		return nil, nil, fmt.Errorf("%w: the file holds no dict: save the layer with torch.save(model.state_dict(), FILE)", ErrNotLinear)
	}
	var found []string
	var layer string // what stands before .weight and .bias
	for i, key := range state.keys {
		t, ok := state.values[i].(*pickledTensor)
		if !ok {
			continue
		}
		if len(found) < 8 {
			found = append(found, fmt.Sprintf("%.60q %.60s", key, strings.ReplaceAll(strings.Trim(fmt.Sprint(t.sizes), "[]"), " ", "×")))
		} else if len(found) == 8 {
			found = append(found, "…")
		}
		dot := strings.LastIndexByte(key, '.') + 1
		switch name := key[dot:]; {
		case len(found) > 1 && key[:dot] != layer:
			err = ErrNotLinear
		case name == "weight" && len(t.sizes) == 2 && weight == nil:
			weight, layer = t, key[:dot]
		case name == "bias" && len(t.sizes) == 1 && bias == nil:
			bias, layer = t, key[:dot]
		default:
			err = ErrNotLinear
		}
	}
	if len(found) == 0 {
		found = []string{"no tensor"}
	}
	if err != nil || weight == nil {
		return nil, nil, fmt.Errorf("%w: a state_dict must hold one weight of 2 dimensions and its bias, and no other tensors; found %s", ErrNotLinear, strings.Join(found, ", "))
	}
	return weight, bias, nil
}

func (d *pickledDict) lookup(key string) any {
	if d == nil {
		return nil
	}
	return d.get(key)
}

// tensor returns a tensor's numbers in order, row by row. Its sizes, strides and offset come from the file.
func (a *torchArchive) tensor(t *pickledTensor) ([]float64, error) {
	s := t.storage
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w tensor: %s", schemas.ErrMalformed, fmt.Sprintf(format, args...))
	}
	decode := a.decoder(s.kind)
	if decode == nil {
		return nil, fmt.Errorf("%w: it is a %s, must be of float64, float32, float16 or bfloat16: convert it with .float() and save it again", ErrNotLinear, s.kind)
	}
	if s.numel < 0 || s.numel > maxImport {
		return nil, wrong("storage %.40q claims %d elements", s.key, s.numel)
	}
	if len(t.sizes) != len(t.stride) || t.offset < 0 {
		return nil, wrong("sizes %.60s, strides %.60s and offset %d do not go together", fmt.Sprint(t.sizes), fmt.Sprint(t.stride), t.offset)
	}
	elements, last := int64(1), t.offset
	for i, size := range t.sizes {
		// A tensor of more elements than its storage shows some of them twice, which no layer's do. This bounds what is made here, and
		// with it the products below: all are at most numel squared.
		if size < 1 || size > s.numel || t.stride[i] < 0 || t.stride[i] > s.numel {
			return nil, wrong("dimension %d has size %d and stride %d in a storage of %d", i, size, t.stride[i], s.numel)
		}
		if elements *= size; elements > s.numel {
			return nil, wrong("sizes %.60s are more than the %d elements of the storage", fmt.Sprint(t.sizes), s.numel)
		}
		if last += (size - 1) * t.stride[i]; last >= s.numel {
			break
		}
	}
	if last >= s.numel {
		return nil, wrong("it reaches element %d of a storage of %d", last, s.numel)
	}
	width := storageWidths[s.kind]
	raw, err := a.read("data/"+s.key, maxImport)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) != s.numel*width {
		return nil, wrong("storage %.40q has %d bytes, must be %d × %d", s.key, len(raw), s.numel, width)
	}
	values, index := make([]float64, elements), make([]int64, len(t.sizes))
	for i := range values {
		at := t.offset
		for d, n := range index {
			at += n * t.stride[d]
		}
		values[i] = decode(raw[at*width:])
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < t.sizes[d] {
				break
			}
			index[d] = 0
		}
	}
	if i := slices.IndexFunc(values, notFinite); i >= 0 {
		return nil, wrong("number %d is %v, must be finite", i, values[i])
	}
	return values, nil
}

// decoder reads one number of a storage's type; nil for a type that is none of floating point.
func (a *torchArchive) decoder(kind string) func([]byte) float64 {
	switch kind {
	case "torch.DoubleStorage":
		return func(b []byte) float64 { return math.Float64frombits(a.order.Uint64(b)) }
	case "torch.FloatStorage":
		return func(b []byte) float64 { return float64(math.Float32frombits(a.order.Uint32(b))) }
	case "torch.BFloat16Storage": // the upper half of a float32
		return func(b []byte) float64 { return float64(math.Float32frombits(uint32(a.order.Uint16(b)) << 16)) }
	case "torch.HalfStorage":
		return func(b []byte) float64 { return float64(models.Float16(a.order.Uint16(b))) }
	}
	return nil
}

func notFinite(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

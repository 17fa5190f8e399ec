package convert

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"jobstrom/models"
	"jobstrom/schemas"
)

// A pickle in pieces, as torch.save writes them.
const (
	pickleStart = "\x80\x02}("
	pickleEnd   = "u."
)

func pickleText(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pickleInt(v int32) string {
	return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(v)))
}

func pickleInts(v ...int32) string {
	s := "("
	for _, x := range v {
		s += pickleInt(x)
	}
	return s + "t"
}

// pickleTensor is a tensor of a storage of so many elements.
func pickleTensor(storage, key string, numel, offset int32, sizes, strides []int32) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickleText("storage") + "ctorch\n" + storage + "\n" + pickleText(key) + pickleText("cpu") + pickleInt(numel) + "tQ" +
		pickleInt(offset) + pickleInts(sizes...) + pickleInts(strides...) + "\x89ccollections\nOrderedDict\n)RtR"
}

// member is a file of a zip.
type member struct {
	name    string
	data    []byte
	deflate bool
}

func torchZip(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, m := range members {
		h := &zip.FileHeader{Name: m.name, Method: zip.Store}
		if m.deflate {
			h.Method = zip.Deflate
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// floatsOf are little-endian float32.
func floatsOf(v ...float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// TestTorchFailure: hostile and damaged files are refused, and nothing of them is run, written or held in memory.
func TestTorchFailure(t *testing.T) {
	weight := pickleText("weight")
	six := floatsOf(1, 2, 3, 4, 5, 6)
	f := func(name string, data []byte, sentinel error, want ...string) {
		t.Helper()
		l, err := readTorch(data)
		if !errors.Is(err, sentinel) || l != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", name, err, w)
			}
		}
	}
	pickled := func(body string, want ...string) {
		t.Helper()
		f(fmt.Sprintf("%.60q", body), torchZip(t, member{name: "a/data.pkl", data: []byte(body)}, member{name: "a/data/0", data: six}), schemas.ErrMalformed, want...)
	}
	global := func(module, name, want string) {
		t.Helper()
		pickled(pickleStart+weight+"c"+module+"\n"+name+"\n"+"("+pickleText("x")+"tR"+pickleEnd, want, "could run code")
		pickled(pickleStart+weight+pickleText(module)+pickleText(name)+"\x93("+pickleText("x")+"tR"+pickleEnd, want, "could run code")
	}
	global("os", "system", `"os.system"`)
	global("posix", "system", `"posix.system"`)
	global("builtins", "eval", `"builtins.eval"`)
	global("builtins", "getattr", `"builtins.getattr"`)
	global("__builtin__", "getattr", `"__builtin__.getattr"`)
	global("torch", "load", `"torch.load"`)
	global("torch._utils", "_rebuild_tensor_v2.__globals__", "__globals__")
	global("torch.nn.modules.linear", "Linear", "save its numbers alone")
	global("collections", "OrderedDict\x00", `OrderedDict\x00`)
	global("torch._utils._rebuild_tensor_v2", "", "_rebuild_tensor_v2.")
	pickled("\x80\x02"+pickleInt(1)+pickleInt(2)+"\x93.", "a name is no text")
	// Ways around the names.
	pickled("\x80\x02(i"+"os\nsystem\n.", "operation 0x69 (INST)")
	pickled("\x80\x02ccollections\nOrderedDict\n)\x81.", "(NEWOBJ)")
	pickled("\x80\x02\x82\x01.", "(EXT1)")
	pickled("\x80\x02P0\n.", "(PERSID)")
	pickled("\x80\x02\xff.", "one that torch does not write")
	pickled("\x80\x02"+pickleText("os.system")+"(tR.", "it calls what has no name")
	pickled("\x80\x02ctorch\nFloatStorage\n)R.", "with other arguments than torch does")
	pickled("\x80\x02ccollections\nOrderedDict\n}R.", "without a tuple of arguments")
	pickled("\x80\x02]}b.", "attributes are given to what is no dict")
	// References outside.
	pickled("\x80\x02"+pickleText("file:///etc/passwd")+"Q.", "refers to something outside")
	pickled("\x80\x02("+pickleText("module")+"ctorch\nFloatStorage\n"+pickleText("0")+pickleText("cpu")+pickleInt(6)+"tQ.", "refers to something outside")
	pickled("\x80\x02("+pickleText("storage")+"ccollections\nOrderedDict\n"+pickleText("0")+pickleText("cpu")+pickleInt(6)+"tQ.", "refers to something outside")
	// Damage.
	pickled("", "0 are left: the file is damaged or cut off")
	pickled("\x80\x09.", "protocol 9, must be 2 to 5")
	pickled("\x80\x02.", "0 values are left")
	pickled("\x80\x02}}.", "2 values are left")
	pickled("\x80\x02(.", "a mark stands where a value must be")
	pickled("\x80\x02}X\xff\xff\xff\xffabc", "4294967295 bytes more were announced")
	pickled("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc", "18446744073709551615 bytes more were announced")
	pickled("\x80\x02h\x07.", "value 7, which it has not kept")
	pickled("\x80\x02u.", "a mark is used that is not there")
	pickled("\x80\x02a.", "1 values are used, 0 are there")
	pickled("\x80\x02(0.", "a mark stands where a value must be")
	pickled("\x80\x02}Na.", "cannot hold them")
	pickled("\x80\x02}(Nu.", "cannot hold them")
	pickled("\x80\x02X\x01\x00\x00\x00\xff.", "not UTF-8")
	pickled("\x80\x02\x8a\xff"+strings.Repeat("a", 255)+".", "an integer has 255 bytes")
	pickled("\x80\x02cos", "a name does not end")
	f("a huge pickle", torchZip(t, member{name: "a/data.pkl", data: make([]byte, maxPickle+1)}), schemas.ErrMalformed, "claims 16777217 bytes")

	// Deep, and holding itself: harmless, and no tensor.
	deep := strings.Repeat("]", 1<<20) + strings.Repeat("a", 1<<20-1)
	f("deep lists", torchZip(t, member{name: "a/data.pkl", data: []byte("\x80\x02" + deep + ".")}), ErrNotLinear, "the file holds no dict")
	f("itself", torchZip(t, member{name: "a/data.pkl", data: []byte("\x80\x02}q\x00" + pickleText("state_dict") + "h\x00s.")}), ErrNotLinear, "found no tensor")

	tensor := func(sentinel error, storage string, numel, offset int32, sizes, strides []int32, data []byte, want ...string) {
		t.Helper()
		body := pickleStart + weight + pickleTensor(storage, "0", numel, offset, sizes, strides) + pickleEnd
		f(fmt.Sprint(storage, numel, offset, sizes, strides), torchZip(t, member{name: "a/data.pkl", data: []byte(body)}, member{name: "a/data/0", data: data}), sentinel, want...)
	}
	two, steps := []int32{2, 3}, []int32{3, 1}
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 1, two, steps, six, "it reaches element 6 of a storage of 6")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, -1, two, steps, six, "offset -1")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, []int32{-3, 1}, six, "stride -3")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, []int32{math.MaxInt32, 1}, six, "stride 2147483647 in a storage of 6")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, []int32{-2, 3}, steps, six, "size -2")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, []int32{6, 6}, []int32{0, 0}, six, "more than the 6 elements")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, []int32{3}, six, "do not go together")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, []int32{4, 1}, six, "it reaches element 6")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, steps, six[:20], "has 20 bytes, must be 6 × 4")
	tensor(schemas.ErrMalformed, "FloatStorage", 1<<30, 0, two, steps, six, "claims 1073741824 elements")
	tensor(schemas.ErrMalformed, "FloatStorage", 1<<25, 0, []int32{1 << 12, 1 << 12}, []int32{1 << 12, 1}, six, "has 24 bytes, must be 33554432 × 4")
	tensor(schemas.ErrMalformed, "FloatStorage", -6, 0, two, steps, six, "claims -6 elements")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, steps, floatsOf(1, 2, float32(math.NaN()), 4, 5, 6), "number 2 is NaN")
	tensor(schemas.ErrMalformed, "FloatStorage", 6, 0, two, steps, floatsOf(1, 2, 3, 4, 5, float32(math.Inf(-1))), "number 5 is -Inf")
	tensor(ErrNotLinear, "LongStorage", 6, 0, two, steps, make([]byte, 48), "torch.LongStorage", ".float()")
	tensor(ErrNotLinear, "FloatStorage", 6, 0, []int32{6}, []int32{1}, six, `found "weight" 6`)

	pair := func(bias string, sentinel error, want ...string) {
		t.Helper()
		body := pickleStart + pickleText("fc.weight") + pickleTensor("FloatStorage", "0", 6, 0, two, steps) + bias + pickleEnd
		f(bias[:10], torchZip(t, member{name: "a/data.pkl", data: []byte(body)}, member{name: "a/data/0", data: six}), sentinel, want...)
	}
	pair(pickleText("fc.bias")+pickleTensor("FloatStorage", "0", 6, 0, []int32{3}, []int32{1}), schemas.ErrMalformed, "bias has 3 numbers, weight 2 rows")
	pair(pickleText("fc2.bias")+pickleTensor("FloatStorage", "0", 6, 0, []int32{2}, []int32{1}), ErrNotLinear, `"fc.weight" 2×3, "fc2.bias" 2`)
	pair(pickleText("fc.bias")+pickleTensor("FloatStorage", "1", 6, 0, []int32{2}, []int32{1}), schemas.ErrMalformed, `member "data/1" is missing`)
	pair(pickleText("fc.bias")+pickleTensor("FloatStorage", "../data.pkl", 6, 0, []int32{2}, []int32{1}), schemas.ErrMalformed, `member "data/../data.pkl" is missing`)
	pair(pickleText("fc.scale")+pickleTensor("FloatStorage", "0", 6, 0, []int32{2}, []int32{1}), ErrNotLinear, `"fc.scale" 2`)

	// The zip around it.
	good, err := os.ReadFile(imported("float32.pt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 100, len(good) / 2, len(good) - 1} {
		f(fmt.Sprint("cut at ", n), good[:n], schemas.ErrMalformed, "no whole zip", "save it again")
	}
	changed := bytes.Clone(good)
	changed[bytes.Index(changed, []byte("FloatStorage"))] = 'f'
	f("a changed byte", changed, schemas.ErrMalformed, "checksum")
	body := member{name: "a/data.pkl", data: []byte(pickleStart + weight + pickleTensor("FloatStorage", "0", 6, 0, two, steps) + pickleEnd)}
	f("no zip", []byte("PK is not enough"), schemas.ErrMalformed, "no whole zip")
	f("another zip", torchZip(t, member{name: "weights.npy", data: six}), schemas.ErrMalformed, "a zip without */data.pkl")
	f("a name that leads out", torchZip(t, body, member{name: "../../root/.profile", data: six}), schemas.ErrMalformed, `"../../root/.profile" leads out`)
	f("an absolute name", torchZip(t, body, member{name: "/etc/passwd", data: six}), schemas.ErrMalformed, "leads out")
	f("twice", torchZip(t, body, body), schemas.ErrMalformed, "two members are named")
	f("compressed", torchZip(t, body, member{name: "a/data/0", data: make([]byte, 1<<20), deflate: true}), schemas.ErrMalformed, "is compressed")
	f("byte order", torchZip(t, body, member{name: "a/byteorder", data: []byte("middle")}), schemas.ErrMalformed, `byteorder is "middle"`)
	many := []member{body}
	for i := range maxMembers {
		many = append(many, member{name: fmt.Sprint("a/", i)})
	}
	f("many members", torchZip(t, many...), schemas.ErrMalformed, "10001 members")
	claims := torchZip(t, body, member{name: "a/data/0", data: six})
	at := bytes.LastIndex(claims, []byte("PK\x01\x02")) // the table's entry of data/0
	binary.LittleEndian.PutUint32(claims[at+20:], 1<<30)
	binary.LittleEndian.PutUint32(claims[at+24:], 1<<30)
	f("a gigabyte", claims, schemas.ErrMalformed, "claims 1073741824 bytes")
}

// TestTorchNumbers: every type and byte order gives its numbers.
func TestTorchNumbers(t *testing.T) {
	f := func(storage, order string, raw []byte, want ...float64) {
		t.Helper()
		n := int32(len(want))
		body := pickleStart + pickleText("weight") + pickleTensor(storage, "0", n, 0, []int32{n, 1}, []int32{1, 1}) + pickleEnd
		l, err := readTorch(torchZip(t, member{name: "a/data.pkl", data: []byte(body)}, member{name: "a/byteorder", data: []byte(order)}, member{name: "a/data/0", data: raw}))
		if err != nil {
			t.Error(err)
			return
		}
		for i, w := range want {
			if got := l.columns[i][0].weights[0]; got != w {
				t.Errorf("%s, %s: number %d is %v, want %v", storage, order, i, got, w)
			}
		}
	}
	f("FloatStorage", "little", floatsOf(1.5, -2), 1.5, -2)
	f("FloatStorage", "big", []byte{0x3f, 0xc0, 0, 0}, 1.5)
	f("DoubleStorage", "little", binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.Pi)), math.Pi)
	f("BFloat16Storage", "little", []byte{0xc0, 0x3f, 0x00, 0xc0}, 1.5, -2)
	// One, the largest, the least normal, the least of all, minus zero, and a third (IEEE 754, binary16).
	f("HalfStorage", "little", []byte{0, 0x3c, 0xff, 0x7b, 0, 4, 1, 0, 0, 0x80, 0x55, 0x35}, 1, 65504, math.Ldexp(1, -14), math.Ldexp(1, -24), 0, 0.333251953125)
	for _, special := range []uint16{0x7c00, 0xfc00, 0x7e00} {
		if !notFinite(float64(models.Float16(special))) {
			t.Errorf("%#x is %v", special, float64(models.Float16(special)))
		}
	}
}

// FuzzUnpickle: whatever the bytes, an answer or an error that wraps schemas.ErrMalformed.
func FuzzUnpickle(f *testing.F) {
	for _, name := range []string{"float32.pt", "protocol5.pt", "checkpoint.pt", "parameters.pt", "hostile.pt"} {
		data, err := os.ReadFile(imported(name))
		if err != nil {
			f.Fatal(err)
		}
		a, err := openTorch(data)
		if err != nil {
			f.Fatal(err)
		}
		pickle, err := a.read("data.pkl", maxPickle)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pickle)
	}
	f.Add([]byte("\x80\x02\x8a\x05\xff\xff\xff\xff\x80."))
	f.Fuzz(func(t *testing.T, data []byte) {
		saved, err := unpickle(data)
		if err != nil {
			if !errors.Is(err, schemas.ErrMalformed) {
				t.Fatalf("%v wraps no sentinel", err)
			}
			return
		}
		weight, bias, err := findLayer(saved)
		if (err == nil) != (weight != nil) || err != nil && !errors.Is(err, ErrNotLinear) {
			t.Fatalf("%v, %v, %v", weight, bias, err)
		}
		if err != nil {
			return
		}
		// Whatever the pickle says of them, a tensor has numbers of a member or is refused.
		a, err := openTorch(torchZip(t, member{name: "a/data.pkl", data: data}, member{name: "a/data/0", data: make([]byte, 4*22*importDim)}))
		if err != nil {
			t.Fatal(err)
		}
		values, err := a.tensor(weight)
		if err == nil && len(values) != int(weight.sizes[0]*weight.sizes[1]) || err != nil && !errors.Is(err, schemas.ErrMalformed) && !errors.Is(err, ErrNotLinear) {
			t.Fatalf("%d numbers of %v: %v", len(values), weight.sizes, err)
		}
	})
}

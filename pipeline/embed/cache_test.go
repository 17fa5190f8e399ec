package embed

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"jobstrom/models/convert"
)

// alike says whether two vectors are of the same text: in another batch the last bits differ.
func alike(a, b Vector) bool {
	return a.Tokens == b.Tokens && a.Truncated == b.Truncated && cosine(a.Values, b.Values) > .999999
}

// With a cache a text has the vector that it has without, in whichever call, beside whichever texts, and equal texts are computed once.
func TestCache(t *testing.T) {
	bare, e := encoder(t, convert.Int8), newEncoder(t, Options{ModelDir: folder(t, convert.Int8), CacheBytes: 1 << 20})
	texts := []string{"murer", "sygeplejerske til nattevagter", "murer", "", "sygeplejerske til nattevagter", "murer"}
	want, err := bare.Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	f := func(order []int, hits, misses uint64) {
		t.Helper()
		before := e.CacheStats()
		some := make([]string, len(order))
		for i, k := range order {
			some[i] = texts[k]
		}
		got, err := e.Embed(t.Context(), some)
		if err != nil {
			t.Fatal(err)
		}
		for i, k := range order {
			if !alike(got[i], want[k]) {
				t.Errorf("%v: text %d has another vector", order, i)
			}
		}
		after := e.CacheStats()
		if after.Hits-before.Hits != hits || after.Misses-before.Misses != misses {
			t.Errorf("%v: %d hits and %d misses, want %d and %d", order, after.Hits-before.Hits, after.Misses-before.Misses, hits, misses)
		}
	}
	f([]int{0}, 0, 1)
	f([]int{0, 1, 2, 3, 4, 5}, 4, 2)
	f([]int{5, 4, 3, 2, 1, 0}, 6, 0)
	f(nil, 0, 0)
	if s := e.CacheStats(); s.Vectors != 3 || s.Bytes <= 0 || s.Bytes > s.MostBytes || s.MostBytes > 1<<20 {
		t.Errorf("got %+v", s)
	}
	if got := bare.CacheStats(); got != (CacheStats{}) {
		t.Errorf("without a cache: %+v", got)
	}
}

// What was not asked for longest makes room, and what a failed call did not compute is not kept.
func TestCacheIsBounded(t *testing.T) {
	const dim = 384
	c := newCache(3*(4*dim+cached), "e", 512, dim)
	ask := func(texts ...string) (computed []string) {
		vectors := make([]Vector, len(texts))
		missing, keys, same := c.split(texts, vectors)
		for _, i := range missing {
			computed = append(computed, texts[i])
			vectors[i] = Vector{Values: []float32{float32(len(texts[i]))}}
		}
		c.keep(missing, keys, same, vectors)
		for i, v := range vectors {
			if v.Values[0] != float32(len(texts[i])) {
				t.Errorf("%q has the vector %v", texts[i], v)
			}
		}
		return computed
	}
	f := func(want []string, texts ...string) {
		t.Helper()
		if got := ask(texts...); !slices.Equal(got, want) {
			t.Errorf("of %v %v were computed, want %v", texts, got, want)
		}
	}
	f([]string{"a", "bb", "ccc"}, "a", "bb", "ccc", "a")
	f(nil, "a")
	f([]string{"dddd"}, "dddd") // bb makes room
	f([]string{"bb"}, "a", "bb", "dddd")
	if s := c.stats(); s.Vectors != 3 || s.Most != 3 || s.Bytes != s.MostBytes {
		t.Errorf("got %+v", s)
	}
	c.split([]string{"failed"}, make([]Vector, 1))
	f([]string{"failed"}, "failed")
	if newCache(100, "e", 512, dim) != nil {
		t.Error("a cache that holds no vector is none")
	}
	other := newCache(1<<20, "e", 511, dim)
	if other.keyOf("a") == c.keyOf("a") || newCache(1<<20, "f", 512, dim).keyOf("a") == c.keyOf("a") {
		t.Error("another encoder's or another length's vector has the same key")
	}
}

// A cache takes no more memory than it says, and not much less.
func TestCacheMemory(t *testing.T) {
	const dim, n = 384, 20_000
	c := newCache(n*(4*dim+cached), "e", 512, dim)
	before := heap(t)
	for i := range n + n/2 {
		text := []string{fmt.Sprint(i)}
		vectors := []Vector{{Values: make([]float32, dim)}}
		missing, keys, same := c.split(text, vectors)
		c.keep(missing, keys, same, vectors)
	}
	took, said := heap(t)-before, c.stats().Bytes
	if took > said || took < said*8/10 {
		t.Errorf("it takes %d bytes and says %d", took, said)
	}
}

// heap is how much is in use once nothing more is set free: finalizers of what earlier tests have left run when they may.
func heap(t *testing.T) int64 {
	t.Helper()
	var stats runtime.MemStats
	last := int64(0)
	for range 1000 {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		now := int64(stats.HeapAlloc)
		if last-now < 1<<10 && last != 0 {
			return now
		}
		last = now
		<-time.After(10 * time.Millisecond)
	}
	t.Fatal("the heap never comes to rest")
	return 0
}

// Callers at once share a cache, and each gets its own texts' vectors.
func TestCacheOfManyCallers(t *testing.T) {
	e := newEncoder(t, Options{ModelDir: folder(t, convert.Int8), CacheBytes: 20 * (4*384 + cached)})
	texts := make([]string, 40) // twice what fits
	for i := range texts {
		texts[i] = fmt.Sprintf("vacancy %d", i)
	}
	want, err := encoder(t, convert.Int8).Embed(t.Context(), texts)
	if err != nil {
		t.Fatal(err)
	}
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for round := range 5 {
				from := (caller*7 + round*11) % 30
				got, err := e.Embed(t.Context(), texts[from:from+10])
				if err != nil {
					t.Error(err)
					return
				}
				if !slices.EqualFunc(got, want[from:from+10], alike) {
					t.Errorf("caller %d, round %d: other vectors", caller, round)
				}
			}
		})
	}
	callers.Wait()
	if s := e.CacheStats(); s.Hits+s.Misses != 4*5*10 || s.Vectors != 20 {
		t.Errorf("got %+v", s)
	}
}

package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
)

// cached is what a vector takes in the cache beside its components: key, Vector, and what the list and the map keep of them. Measured: 250 to 290 bytes.
const cached = 290

// cache keeps the vectors that were used last. Vacancies are published again and again, and the same text gives the same vector.
type cache struct {
	vectors      *lru.Cache[key, Vector]
	most         int
	size         int64 // bytes of one
	of           []byte
	hits, misses atomic.Uint64
}

// key is the SHA-256 of what decides a vector: the encoder's identity, the longest input, and the text.
type key [sha256.Size]byte

// newCache returns a cache of at most so many bytes; nil, which holds nothing, where not even one vector fits.
func newCache(bytes int64, encoder string, maxTokens, dim int) *cache {
	size := int64(4*dim + cached)
	if bytes < size {
		return nil
	}
	most := int(bytes / size)
	vectors, err := lru.New[key, Vector](most)
	if err != nil { // the size is above 0
		return nil
	}
	of := binary.AppendUvarint([]byte(encoder), uint64(maxTokens))
	return &cache{vectors: vectors, most: most, size: size, of: of}
}

// keyOf returns the key of a text.
func (c *cache) keyOf(text string) (k key) {
	h := sha256.New()
	h.Write(c.of)
	h.Write([]byte(text))
	h.Sum(k[:0])
	return k
}

// CacheStats says what a cache has done. All are 0 without one.
type CacheStats struct {
	// Hits are texts whose vector was there or is that of another text of the same call; Misses had to be computed.
	Hits, Misses uint64
	// Vectors are held, of at most Most.
	Vectors, Most int
	// Bytes that they take, of at most MostBytes.
	Bytes, MostBytes int64
}

func (c *cache) stats() CacheStats {
	if c == nil {
		return CacheStats{}
	}
	n := c.vectors.Len()
	return CacheStats{Hits: c.hits.Load(), Misses: c.misses.Load(), Vectors: n, Most: c.most, Bytes: int64(n) * c.size, MostBytes: int64(c.most) * c.size}
}

// split fills the vectors of texts that are there and returns the places of those that must be computed: of equal texts the first, same then says which places its
// vector belongs to as well.
func (c *cache) split(texts []string, vectors []Vector) (missing []int, keys []key, same map[int][]int) {
	if c == nil {
		for i := range texts {
			missing = append(missing, i)
		}
		return missing, nil, nil
	}
	first := map[key]int{}
	for i, text := range texts {
		k := c.keyOf(text)
		if v, ok := c.vectors.Get(k); ok {
			vectors[i] = v
			c.hits.Add(1)
			continue
		}
		if at, ok := first[k]; ok {
			if same == nil {
				same = map[int][]int{}
			}
			same[at] = append(same[at], i)
			c.hits.Add(1)
			continue
		}
		first[k] = i
		missing, keys = append(missing, i), append(keys, k)
		c.misses.Add(1)
	}
	return missing, keys, same
}

// keep puts computed vectors into the cache and where else they belong.
func (c *cache) keep(missing []int, keys []key, same map[int][]int, vectors []Vector) {
	if c == nil {
		return
	}
	for k, i := range missing {
		c.vectors.Add(keys[k], vectors[i])
		for _, j := range same[i] {
			vectors[j] = vectors[i]
		}
	}
}

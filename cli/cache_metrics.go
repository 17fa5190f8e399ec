package cli

import (
	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/pipeline/embed"
)

// cacheMetrics shows what the encoder's cache of vectors does.
func cacheMetrics(stats func() embed.CacheStats) []prometheus.Collector {
	counter := func(name, help string, value func(embed.CacheStats) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value(stats())) })
	}
	gauge := func(name, help string, value func(embed.CacheStats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(stats())) })
	}
	return []prometheus.Collector{
		counter("jobstrom_embed_cache_hits_total", "Texts whose vector was in the cache, or is that of another text of the batch.", func(s embed.CacheStats) uint64 { return s.Hits }),
		counter("jobstrom_embed_cache_misses_total", "Texts whose vector was computed; hits / (hits + misses) is the hit rate.", func(s embed.CacheStats) uint64 { return s.Misses }),
		gauge("jobstrom_embed_cache_vectors", "Vectors in the cache.", func(s embed.CacheStats) int64 { return int64(s.Vectors) }),
		gauge("jobstrom_embed_cache_bytes", "Bytes that the vectors in the cache take, at most --embed-cache.", func(s embed.CacheStats) int64 { return s.Bytes }),
	}
}

package api_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"jobstrom/server"
)

// soakEnv says how many requests TestSoak makes: make soak asks for a million.
const soakEnv = "JOBSTROM_SOAK"

// After many requests of each kind, by callers who come and go, the process holds no more than after a few.
func TestSoak(t *testing.T) {
	n := int64(20_000)
	if given := os.Getenv(soakEnv); given != "" {
		var err error
		if n, err = strconv.ParseInt(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	registry := prometheus.NewRegistry()
	s := serve(t, func(o *server.Options) { o.Registerer, o.Gatherer = registry, registry })
	requests := []struct {
		path, kind, body string
		status           int
	}{
		{"/v1/classify", "application/json", `{"text":"Sygeplejerske"}`, 200},
		{"/classify?jobopslag=Vi+s%C3%B8ger+en+kok+til+k%C3%B8kkenet", "", "", 200},
		{"/classify", "application/json", `{"text":"?"}`, 200},
		{"/batch_classify", "application/json", `["Sygeplejerske","?"]`, 200},
		{"/v1/batch", "application/x-ndjson", "\"Sygeplejerske\"\n{\n", 200},
		{"/v1/similar", "application/json", `{"text":"Sygeplejerske"}`, 200},
		{"/v1/classify", "application/json", `{"text":`, 400},
		{"/v1/nothing", "application/json", `{}`, 404},
	}
	ask := func(client *http.Client, i int64) {
		r := requests[i%int64(len(requests))]
		response, err := client.Post(s.url+r.path, r.kind, strings.NewReader(r.body))
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != r.status {
			t.Errorf("%s: %d, want %d, %v", r.path, response.StatusCode, r.status, err)
		}
	}
	// load lets 8 callers ask so often; each takes new connections now and then.
	load := func(n int64) {
		var next atomic.Int64
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for i := next.Add(1) - 1; i < n && !t.Failed(); i = next.Add(1) - 1 {
					if ask(client, i); i%1000 == 0 {
						client.CloseIdleConnections()
					}
				}
			})
		}
		callers.Wait()
	}
	// held returns the bytes of the heap and the goroutines that stay.
	held := func(atMost int) (uint64, int) {
		for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > atMost && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond) // connections end behind their callers
		}
		runtime.GC()
		runtime.GC() // and what the first one finalised, and pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	idle := runtime.NumGoroutine()
	load(2000)
	bytesBefore, before := held(idle)
	began := time.Now()
	load(n)
	bytesAfter, after := held(before)
	t.Logf("%d requests in %s: heap %.1f MB before, %.1f MB after; goroutines %d and %d", n, time.Since(began).Round(time.Millisecond), float64(bytesBefore)/1e6, float64(bytesAfter)/1e6, before, after)
	if after > before+2 {
		var stacks bytes.Buffer
		buffer := make([]byte, 1<<20)
		stacks.Write(buffer[:runtime.Stack(buffer, true)])
		t.Errorf("%d goroutines before, %d after:\n%.20000s", before, after, stacks.String())
	}
	if grown := int64(bytesAfter) - int64(bytesBefore); grown > 4<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

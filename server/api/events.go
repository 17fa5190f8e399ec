package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"jobstrom/server/access"
)

type streamOutput struct{ Body func(huma.Context) }

// eventRoutes is the stream of what happens.
func (r *routes) eventRoutes() {
	event := r.schema(Event{})
	add(r, operation{
		method: http.MethodGet, path: "/v1/events", id: "events", tag: tagEvents, scope: access.Classify, errors: []int{http.StatusServiceUnavailable}, content: "text/event-stream",
		summary: "Follow what is classified and refused", text: "Server-sent events from now on, until the caller goes: each is called classified or refused, and its data is an Event. A comment comes when nothing happens for a while.",
	}, func(ctx context.Context, _ *struct{}) (*streamOutput, error) {
		if r.Feed == nil {
			return nil, noKafka("what happens is not known")
		}
		return &streamOutput{r.follow}, nil
	})
	// The schema is that of each event of the stream.
	r.OpenAPI().Paths["/v1/events"].Get.Responses["200"].Content["text/event-stream"].Schema = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"event", "data"}, Properties: map[string]*huma.Schema{
			"event": {Type: huma.TypeString, Enum: []any{"classified", "refused"}},
			"data":  {Type: huma.TypeString, Extensions: map[string]any{"contentMediaType": "application/json", "contentSchema": event}},
		},
	}
}

// follow writes events until the caller or the process goes.
func (r *routes) follow(hc huma.Context) {
	request, w := humago.Unwrap(hc)
	control := http.NewResponseController(w)
	ctx, cancel := context.WithCancel(request.Context())
	defer cancel()
	events := r.Feed.Subscribe(ctx)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events back
	w.WriteHeader(http.StatusOK)
	send := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(patience))
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	beat := time.NewTicker(r.Heartbeat)
	defer beat.Stop()
	for alive := send(": here\n\n"); alive; {
		select {
		case <-ctx.Done():
			return
		case <-r.Stopping.Done():
			return
		case <-beat.C:
			alive = send(": nothing\n\n")
		case e, open := <-events:
			if !open {
				return
			}
			data, err := json.Marshal(e)
			if err != nil {
				r.Logger.Error("sending an event", "error", err)
				return
			}
			alive = send("event: " + e.Kind + "\ndata: " + string(data) + "\n\n")
			beat.Reset(r.Heartbeat)
		}
	}
}

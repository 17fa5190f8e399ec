package api

import (
	"context"
	"net/http"

	"jobstrom/server/access"
)

type replayInput struct {
	Body struct {
		All     bool          `json:"all,omitempty" doc:"every letter that waits"`
		Letters []LetterPlace `json:"letters,omitempty" nullable:"false" maxItems:"1000" doc:"those that lie there"`
	}
}

// letterRoutes are those of the dead letters.
func (r *routes) letterRoutes() {
	add(r, operation{
		method: http.MethodGet, path: "/v1/deadletters", id: "dead-letters", tag: tagLetters, scope: access.Admin, errors: queryErrors,
		summary: "List records that a stage refused", text: "The newest first, without their content.",
	}, func(ctx context.Context, in *struct {
		Most int `query:"most" minimum:"1" maximum:"1000" default:"100"`
	}) (*struct{ Body *DeadLetters }, error) {
		if r.DeadLetters == nil {
			return nil, noKafka("the dead letters are not known")
		}
		letters, err := r.DeadLetters(ctx, in.Most)
		if err != nil {
			return nil, err
		}
		letters.Letters = orEmpty(letters.Letters)
		return &struct{ Body *DeadLetters }{letters}, nil
	})
	add(r, operation{
		method: http.MethodPost, path: "/v1/deadletters/replay", id: "replay", tag: tagLetters, scope: access.Admin, errors: bodyErrors,
		summary: "Send refused records again", text: "Those named, or all that wait. A letter that was sent again before is skipped.",
	}, func(ctx context.Context, in *replayInput) (*struct{ Body *Replayed }, error) {
		if r.Replay == nil {
			return nil, noKafka("dead letters cannot be replayed")
		}
		if in.Body.All == (len(in.Body.Letters) > 0) {
			return nil, invalid("say either all or which letters")
		}
		replayed, err := r.Replay(ctx, in.Body.Letters)
		if err != nil {
			return nil, err
		}
		return &struct{ Body *Replayed }{replayed}, nil
	})
}

// Statuses of kinds of routes.
var (
	bodyErrors   = []int{http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	changeErrors = append([]int{http.StatusNotFound, http.StatusConflict}, bodyErrors...)
	lookupErrors = []int{http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	queryErrors  = []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
)

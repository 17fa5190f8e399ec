package web

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

// question asks whether to change the champion.
type question struct {
	// Action is promote or rollback, Address where the answer goes.
	Action, Address string
	// Model is the one that will be champion, where that is known.
	Model string
	// Expect is the champion of now: the answer counts only as long as it is that.
	Expect string
}

// askPromote asks whether a model shall be the champion.
func (p *Pages) askPromote(w http.ResponseWriter, r *http.Request) error {
	all, err := p.changeable(r, p.service.Promote != nil)
	if err != nil {
		return err
	}
	id := r.URL.Query().Get("model")
	if !slices.ContainsFunc(all.Models, func(m api.Model) bool { return m.ID == id && m.Role != "champion" }) {
		return api.ErrUnknown
	}
	q := question{Action: "promote", Address: "/modeller/tag-i-brug", Model: id}
	if champion := championOf(all); champion != nil {
		q.Expect = champion.ID
	}
	return p.show(w, r, "confirm", q)
}

// askRollback asks whether the champion of before shall be it again.
func (p *Pages) askRollback(w http.ResponseWriter, r *http.Request) error {
	all, err := p.changeable(r, p.service.Rollback != nil)
	if err != nil {
		return err
	}
	champion := championOf(all)
	if champion == nil {
		return api.ErrUnknown
	}
	return p.show(w, r, "confirm", question{Action: "rollback", Address: "/modeller/tilbage", Expect: champion.ID})
}

// changeable returns the models for who may change the champion.
func (p *Pages) changeable(r *http.Request, there bool) (*api.Models, error) {
	if err := allow(r, access.Admin); err != nil {
		return nil, err
	}
	if !there || p.service.Models == nil {
		return nil, missing()
	}
	return p.service.Models(r.Context())
}

// promote makes a model the champion.
func (p *Pages) promote(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "promote", p.service.Promote != nil, func(ctx context.Context, reason, by string) error {
		_, err := p.service.Promote(ctx, r.PostFormValue("model"), r.PostFormValue("expect"), reason, by)
		return err
	})
}

// rollback makes the champion of before the champion.
func (p *Pages) rollback(w http.ResponseWriter, r *http.Request) error {
	return p.change(w, r, "rollback", p.service.Rollback != nil, func(ctx context.Context, reason, by string) error {
		_, err := p.service.Rollback(ctx, r.PostFormValue("expect"), reason, by)
		return err
	})
}

// change does what a question asked, and shows the models.
func (p *Pages) change(w http.ResponseWriter, r *http.Request, done string, there bool, do func(ctx context.Context, reason, by string) error) error {
	if err := allow(r, access.Admin); err != nil {
		return err
	}
	if !there {
		return missing()
	}
	if err := parseForm(r); err != nil {
		return err
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" {
		return badRequest("error.reason")
	}
	if err := do(r.Context(), reason, access.CallerOf(r.Context()).Name); err != nil {
		return err
	}
	http.Redirect(w, r, "/modeller?gjort="+done, http.StatusSeeOther)
	return nil
}

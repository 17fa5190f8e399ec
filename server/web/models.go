package web

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"jobstrom/server/access"
	"jobstrom/server/api"
)

// registry is what the models' page shows.
type registry struct {
	Encoder    string
	Champion   *model
	Challenger []model
	Others     []model
	History    []api.ModelEvent
	// Done is what was done a moment ago: promote, rollback or nothing.
	Done string
	// Back says that there is a champion of before.
	Back bool
}

// model is one with its figures beside the champion's.
type model struct {
	api.Model
	// Figures are the first metrics, More the others.
	Figures, More []figure
	// Report is the address of the page of its training.
	Report string
	// Promote is the address of the page that asks whether to make it the champion.
	Promote string
}

// figure is a measurement, and the champion's, where it has one.
type figure struct {
	Name            string
	Value, Champion float64
	// Low and High bound it, of 95 in 100 such measurements; 0 where that is not known.
	Low, High float64
	Compared  bool
	// Better is 1 where the value is better than the champion's, -1 where it is worse.
	Better int
}

// first are the metrics that are shown before the others; of those named in less, less is better.
func first() []string { return []string{"top1", "top3", "macro_f1", "log_loss", "ece"} }

func lessIsBetter(metric string) bool {
	return slices.Contains([]string{"log_loss", "brier", "ece", "adaptive_ece"}, metric)
}

// models shows the registry.
func (p *Pages) models(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.Models == nil {
		return missing()
	}
	all, err := p.service.Models(r.Context())
	if err != nil {
		return err
	}
	body := registry{Encoder: all.Encoder, History: all.History}
	if done := r.URL.Query().Get("gjort"); done == "promote" || done == "rollback" {
		body.Done = done
	}
	champion := championOf(all)
	for _, m := range all.Models {
		shown := modelOf(m, champion)
		switch m.Role {
		case "champion":
			body.Champion = &shown
		case "challenger":
			body.Challenger = append(body.Challenger, shown)
		default:
			body.Others = append(body.Others, shown)
		}
	}
	body.Back = slices.ContainsFunc(all.History, func(e api.ModelEvent) bool { return e.Action == "promote" && e.Previous != "" })
	return p.show(w, r, "models", body)
}

func championOf(all *api.Models) *api.Model {
	for i, m := range all.Models {
		if m.Role == "champion" {
			return &all.Models[i]
		}
	}
	return nil
}

func modelOf(m api.Model, champion *api.Model) model {
	out := model{Model: m, Promote: "/modeller/tag-i-brug?model=" + url.QueryEscape(m.ID)}
	if m.HasReport {
		out.Report = "/modeller/rapport?model=" + url.QueryEscape(m.ID)
	}
	names := slices.SortedFunc(maps.Keys(m.Metrics), func(a, b string) int {
		rank := func(name string) int {
			if at := slices.Index(first(), name); at >= 0 {
				return at
			}
			return len(first())
		}
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	for _, name := range names {
		if name == "n" || strings.HasSuffix(name, "_low") || strings.HasSuffix(name, "_high") {
			continue // shown with what they belong to
		}
		f := figure{Name: name, Value: m.Metrics[name], Low: m.Metrics[name+"_low"], High: m.Metrics[name+"_high"]}
		if champion != nil && champion.ID != m.ID {
			if f.Champion, f.Compared = champion.Metrics[name]; f.Compared {
				if f.Better = cmp.Compare(f.Value, f.Champion); lessIsBetter(name) {
					f.Better = -f.Better
				}
			}
		}
		if slices.Contains(first(), name) {
			out.Figures = append(out.Figures, f)
		} else {
			out.More = append(out.More, f)
		}
	}
	return out
}

// modelReport shows the page of a model's training.
func (p *Pages) modelReport(w http.ResponseWriter, r *http.Request) error {
	if err := allow(r, access.Classify); err != nil {
		return err
	}
	if p.service.ModelReport == nil {
		return missing()
	}
	report, err := p.service.ModelReport(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	return writeReport(w, report)
}

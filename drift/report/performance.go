package report

import (
	"fmt"

	"jobstrom/drift"
	"jobstrom/drift/performance"
)

// quality is one figure of how good the predictions of each window are.
type quality struct{ Name, Reference, Current string }

// qualities are none where neither window has predictions.
func qualities(c *drift.Comparison) []quality {
	if c.Performance[0] == nil && c.Performance[1] == nil {
		return nil
	}
	figure := func(name string, of func(p *drift.Performance) string) quality {
		q := quality{name, "–", "–"}
		for side, to := range []*string{&q.Reference, &q.Current} {
			if p := c.Performance[side]; p != nil {
				*to = of(p)
			}
		}
		return q
	}
	within := func(share float64, i performance.Interval) string {
		return fmt.Sprintf("%s (%s to %s)", percent(share), percent(i.Low), percent(i.High))
	}
	return []quality{
		figure("accuracy, estimated", func(p *drift.Performance) string { return within(p.Estimated.Accuracy, p.Estimated.AccuracyInterval) }),
		figure("macro F1, estimated", func(p *drift.Performance) string { return within(p.Estimated.MacroF1, p.Estimated.MacroF1Interval) }),
		figure("accuracy, labelled", func(p *drift.Performance) string {
			if p.Labelled == nil {
				return "no labels"
			}
			return within(p.Labelled.Share, p.Labelled.Interval)
		}),
		figure("vacancies with a label", func(p *drift.Performance) string {
			if p.Labelled == nil {
				return "0"
			}
			return count(p.Labelled.Labelled)
		}),
	}
}

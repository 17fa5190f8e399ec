package cli

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"jobstrom/drift/watch"
	"jobstrom/security"
)

// Drift holds the settings of the watch.
type Drift struct {
	DriftEvery          time.Duration   `koanf:"drift-every"`
	DriftReference      string          `koanf:"drift-reference"`
	DriftCurrent        string          `koanf:"drift-current"`
	DriftAlpha          float64         `koanf:"drift-alpha"`
	DriftRaiseAfter     time.Duration   `koanf:"drift-raise-after"`
	DriftClearAfter     time.Duration   `koanf:"drift-clear-after"`
	DriftRetrain        bool            `koanf:"drift-retrain"`
	DriftRetrainEvery   time.Duration   `koanf:"drift-retrain-every"`
	DriftWebhook        security.Secret `koanf:"drift-webhook"`
	DriftWebhookFile    string          `koanf:"drift-webhook-file"`
	DriftWebhookKey     security.Secret `koanf:"drift-webhook-key"`
	DriftWebhookKeyFile string          `koanf:"drift-webhook-key-file"`
}

func addDriftFlags(f *pflag.FlagSet) {
	f.Duration("drift-every", time.Hour, "`time` between two evaluations of the watch for drift; 0 keeps it out of jobstrom up")
	f.String("drift-reference", "model", "`window` that the watch compares with: a span, model (the champion's training window; while there is none, before), model:ID, or before (the time before, four times as long)")
	f.String("drift-current", "last 7d", "sliding `window` that the watch compares, like last 12h, last 7d or last 4w")
	f.Float64("drift-alpha", watch.Level, "`share` of false alarms that each evaluation accepts")
	f.Duration("drift-raise-after", 0, "`time` that the watch's verdict must have been drift to raise an alarm (default a fourteenth of the current window: of a week 12h)")
	f.Duration("drift-clear-after", 0, "`time` that it must have been none to clear the alarm (default a seventh of the current window)")
	f.Bool("drift-retrain", false, "let alarms of categories, labels, confidence or embeddings train a classifier, which becomes the champion when it is not worse")
	f.Duration("drift-retrain-every", 24*time.Hour, "least `time` between two such trainings")
	secretFlag(f, "drift-webhook", "the address that each event is posted to")
	secretFlag(f, "drift-webhook-key", "the key that signs what is posted")
}

// Validate reports every violation.
func (d Drift) Validate() error {
	o := d.watchOptions()
	var hook error
	if o.Webhook != nil {
		hook = o.Webhook.Validate()
	}
	if err := errors.Join(hook, o.Validate()); err != nil {
		return fmt.Errorf("the watch for drift (drift-…): %w", err)
	}
	return nil
}

// watchOptions returns what the settings say of the watch.
func (d Drift) watchOptions() watch.Options {
	o := watch.Options{
		Reference: d.DriftReference, Current: d.DriftCurrent, Every: cmp.Or(d.DriftEvery, time.Hour), // 0 is for jobstrom up alone
		RaiseAfter: d.DriftRaiseAfter, ClearAfter: d.DriftClearAfter,
		RetrainEvery: d.DriftRetrainEvery, Version: version,
	}
	o.Alarms.EnsureDefaults()
	o.Alarms.Alpha = d.DriftAlpha
	hook := watch.Webhook{
		URL: security.Credential{Value: d.DriftWebhook, File: d.DriftWebhookFile},
		Key: security.Credential{Value: d.DriftWebhookKey, File: d.DriftWebhookKeyFile},
	}
	if !hook.URL.IsZero() {
		o.Webhook = &hook
	}
	return o
}

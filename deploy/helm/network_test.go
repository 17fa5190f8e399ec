package helm

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// checkPolicies sees that, where there are policies, every pod is under the one that denies, and that each opens what exists.
func checkPolicies(t *testing.T, all []meta.Object, pods []pod, choose func(string, *meta.LabelSelector) []pod, has func(string, []pod, string)) {
	t.Helper()
	policies := of[*networking.NetworkPolicy](all)
	denied := 0
	for _, p := range policies {
		owner := "NetworkPolicy " + p.Name
		chosen := choose(owner, &p.Spec.PodSelector)
		if len(p.Spec.Ingress)+len(p.Spec.Egress) == 0 {
			if len(p.Spec.PolicyTypes) != 2 || len(chosen) != len(pods) {
				t.Errorf("%s denies %v to %d of %d kinds of pods", owner, p.Spec.PolicyTypes, len(chosen), len(pods))
			}
			denied++
			continue
		}
		if len(p.Spec.PolicyTypes) != 1 {
			t.Errorf("%s is for %v", owner, p.Spec.PolicyTypes)
		}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				has(owner, chosen, port.Port.StrVal)
			}
		}
	}
	if len(policies) > 0 && denied != 1 {
		t.Errorf("%d policies deny", denied)
	}
}

// opened lists COMPONENT DIRECTION PORT [PEERS] of what policies open.
func opened(t *testing.T, file string) map[string]bool {
	t.Helper()
	manifest, err := template(t, []string{file})
	must(t, err)
	all := objects(t, manifest)
	pods := podsOf(all)
	is := map[string]bool{}
	for _, p := range of[*networking.NetworkPolicy](all) {
		selector, err := meta.LabelSelectorAsSelector(&p.Spec.PodSelector)
		must(t, err)
		for _, pod := range pods {
			if !selector.Matches(labelSet(pod.Labels)) {
				continue
			}
			component := pod.Labels["app.kubernetes.io/component"]
			for _, rule := range p.Spec.Egress {
				for _, port := range rule.Ports {
					is[fmt.Sprintf("%s to %s/%s of %d peers", component, *port.Protocol, port.Port, len(rule.To))] = true
				}
			}
			for _, rule := range p.Spec.Ingress {
				for _, port := range rule.Ports {
					is[fmt.Sprintf("%s from %d peers at %s", component, len(rule.From), port.Port)] = true
				}
			}
		}
	}
	return is
}

// What a part may reach is what it is told of in values: the ports of those addresses and the peers there.
func TestPoliciesFollowAddresses(t *testing.T) {
	is := opened(t, cases(t)["secured"])
	f := func(want bool, what string) {
		t.Helper()
		if is[what] != want {
			t.Errorf("%q: %v, want %v; open is %v", what, is[what], want, slices.Sorted(maps.Keys(is)))
		}
	}
	f(true, "extract to TCP/9093 of 1 peers")
	f(true, "extract to TCP/9094 of 1 peers")
	f(true, "topics to TCP/9093 of 1 peers")
	f(false, "extract to TCP/9440 of 1 peers")
	f(false, "warehouse to TCP/9093 of 1 peers")
	f(true, "warehouse to TCP/9440 of 1 peers")
	f(true, "sink to TCP/9440 of 1 peers")
	f(true, "embed to UDP/53 of 0 peers")
	f(true, "classify to TCP/443 of 0 peers") // the schema registry
	f(true, "api to TCP/8443 of 0 peers")     // the issuer
	f(false, "watch to TCP/8443 of 0 peers")
	f(true, "watch to TCP/443 of 1 peers") // the webhook, by egress
	f(true, "api from 1 peers at http")
	f(false, "watch from 1 peers at http")
	f(true, "sink from 1 peers at metrics")
	f(false, "topics from 1 peers at metrics")
}

// Package web is the pages for people: classify a vacancy or a file, see the flow live, drift, the models, and search by meaning.
//
// Danish, and English through the message files. Every page is rendered here and works without JavaScript where it can; with it, forms answer in place. It promises that nothing
// of a vacancy is kept or put in an address, that personal data is shown as its kind, that no page has inline scripts, styles or handlers, and that what a caller may not do is
// not offered. It asks the same api.Service as the API does.
package web

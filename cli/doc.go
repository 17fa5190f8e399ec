// Package cli is the command line: one file a subcommand, config.go for the settings.
//
// It is the only place that joins packages. It promises exit status 0 when all was done, 1 when something failed, 2 when the command line or the
// configuration was wrong, 3 when the work was done but some input was refused.
package cli

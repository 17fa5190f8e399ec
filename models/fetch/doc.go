// Package fetch brings a model's files into a folder: from a Hugging Face-compatible hub, from an https address that such files lie
// below, or from a folder of this machine.
//
// Everything that is downloaded is kept in a cache, laid out as
//
//	blobs/HASH                           contents, by SHA-256 or, where that is all the hub tells, by git's SHA-1
//	blobs/HASH.part                      what has arrived of one; the next pull goes on where it ends
//	snapshots/HOST/NAME/COMMIT/          a model's folder: hard links to blobs, or copies where the file system has none
//	listings/HOST/NAME/COMMIT.json       which files that commit has, their sizes and hashes
//	revisions/HOST/NAME/REVISION         which commit a branch or tag was, when the hub was last asked
//	lock                                 held by the pull that writes
//
// A content has its name only once its hash was verified, and is verified again each time it is used, so neither a killed process, a cut
// connection nor a damaged disk leaves what looks whole. Names of files come from other people: none leads out of its folder. The cache
// may be deleted at any time.
package fetch

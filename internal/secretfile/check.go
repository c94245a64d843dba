// SPDX-License-Identifier: MPL-2.0

// Package secretfile keeps the SOPS files of a repository: it makes the key and
// the rules that they need, writes them from a store of secrets, and checks them
// and what refers to them. It reports names and never a value.
package secretfile

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/hybridge/terraform-provider-hybridge/internal/sealed"
)

// Problem is one thing that is wrong.
type Problem struct {
	Code    sealed.Code `json:"code"`
	Message string      `json:"message"`
}

// codeConfiguration is that of configuration files that cannot be parsed.
const codeConfiguration sealed.Code = "bad_configuration"

// FileReport is what a check says of one file.
type FileReport struct {
	Path       string        `json:"path"`
	Format     sealed.Format `json:"format,omitempty"` // empty: it is no SOPS file
	Values     int           `json:"values"`
	Recipients []string      `json:"recipients"`
	Plain      []string      `json:"plain"` // key paths of values in the clear
	Decrypted  bool          `json:"decrypted"`
	Problems   []Problem     `json:"problems"`
}

// ReferenceReport is what a check says of a place in a configuration.
type ReferenceReport struct {
	At       string    `json:"at"` // FILE:LINE
	File     string    `json:"file"`
	Key      string    `json:"key"`
	Problems []Problem `json:"problems"`
}

// Report is what a check has found.
type Report struct {
	Files      []FileReport      `json:"files"`
	References []ReferenceReport `json:"references"`
	// Others counts references that are put together in the configuration, so
	// that only Terraform knows what they mean.
	Others int `json:"references_not_checked"`
	// Findings counts the problems.
	Findings int `json:"findings"`
}

// Check looks at SOPS files and at what refers to them.
type Check struct {
	Store *sealed.Store
	// Decrypt also opens the files. One that needs a service in the network is opened
	// only if it was named, a creation rule names it, or something refers to it.
	Decrypt bool
	// Look, if not nil, is told of each file before it is opened.
	Look func(path string)
}

// skipped are directories of other programs.
var skipped = []string{".git", ".hg", ".svn", ".terraform", "node_modules"}

// Run checks these files, and everything below these directories. A path that does
// not exist is a pattern, in which ** stands for any directories. An error says that
// the check could not be made.
func (c Check) Run(ctx context.Context, paths []string) (*Report, error) {
	r := &run{
		Check: c, ctx: ctx, configs: map[string]string{}, seen: map[string]bool{},
		report: Report{Files: []FileReport{}, References: []ReferenceReport{}},
	}
	files, dirs, err := expand(paths)
	if err != nil {
		return nil, err
	}
	for _, path := range files { // first: of a file that is met below a directory less is asked
		if err := r.file(path, !isConfiguration(path)); err != nil {
			return nil, err
		}
	}
	for _, dir := range dirs {
		if err := r.directory(dir); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(r.report.Files, func(a, b FileReport) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range r.report.Files {
		r.report.Findings += len(f.Problems)
	}
	for _, ref := range r.report.References {
		r.report.Findings += len(ref.Problems)
	}
	return &r.report, nil
}

// expand tells files from directories, and puts what a pattern fits in its place.
func expand(paths []string) (files, dirs []string, err error) {
	for _, path := range paths {
		fitting := []string{path}
		if _, statErr := os.Stat(path); errors.Is(statErr, fs.ErrNotExist) && strings.ContainsAny(path, "*?[{") {
			if fitting, err = doublestar.FilepathGlob(path); err != nil || len(fitting) == 0 {
				return nil, nil, fmt.Errorf("the pattern %s fits no file: check it, and the directory that it starts from", path)
			}
		}
		for _, path := range fitting {
			info, err := os.Stat(path)
			switch {
			case err != nil:
				return nil, nil, fmt.Errorf("%s cannot be read: %w: check the path", path, bare(err))
			case info.IsDir():
				dirs = append(dirs, path)
			case info.Mode().IsRegular():
				files = append(files, path)
			default:
				return nil, nil, fmt.Errorf("%s is neither a file nor a directory: check the path", path)
			}
		}
	}
	return files, dirs, nil
}

type run struct {
	Check
	ctx     context.Context
	configs map[string]string // of .sops.yaml, by directory
	seen    map[string]bool
	report  Report
}

// directory looks at the files below dir.
func (r *run) directory(dir string) error {
	// With a separator at its end a link to a directory is followed, too: whoever
	// names one wants to know what is behind it.
	root := dir + string(filepath.Separator)
	return filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("%s cannot be read: %w: check its permissions", at, bare(err))
		case r.ctx.Err() != nil:
			return r.ctx.Err()
		case entry.IsDir() && at != root && slices.Contains(skipped, entry.Name()):
			return filepath.SkipDir
		case entry.Type().IsRegular():
			return r.file(at, false)
		}
		return nil
	})
}

// file looks whether a file is of interest. One that was named has to be.
func (r *run) file(path string, named bool) error {
	path = filepath.Clean(path)
	if r.seen[path] {
		return nil
	}
	r.seen[path] = true
	text, err := r.read(path)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w: check its permissions", path, bare(err))
	}
	if isConfiguration(path) {
		r.configuration(path, text)
		return nil
	}
	ruled := r.ruled(path)
	if named || ruled || looksSealed(text) {
		r.sealedFile(path, text, named, ruled)
	}
	return nil
}

// read returns nothing of a file that is too large to be a SOPS file.
func (r *run) read(path string) ([]byte, error) {
	const most = 16 << 20
	if info, err := os.Stat(path); err != nil || info.Size() > most {
		return nil, err
	}
	return os.ReadFile(path)
}

func isConfiguration(path string) bool {
	return strings.HasSuffix(path, ".tf") || strings.HasSuffix(path, ".tofu")
}

// looksSealed tells in no time that most files are none of SOPS.
func looksSealed(text []byte) bool {
	return bytes.Contains(text, []byte("sops")) && bytes.Contains(text, []byte("ENC[AES256_GCM,")) && bytes.Contains(text, []byte("lastmodified"))
}

// ruled reports whether a creation rule names the file. A configuration file that
// cannot be read is a finding, once, and names nothing.
func (r *run) ruled(path string) bool {
	if filepath.Base(path) == sealed.ConfigName {
		return false
	}
	dir := filepath.Dir(path)
	config, known := r.configs[dir]
	if !known {
		config = sealed.FindConfig(dir)
		r.configs[dir] = config
	}
	if config == "" {
		return false
	}
	names, err := sealed.RuleNames(config, path)
	if err != nil && !r.seen["rules of "+config] {
		r.seen["rules of "+config] = true
		report := FileReport{Path: config, Recipients: []string{}, Plain: []string{}, Problems: []Problem{}}
		report.add(err)
		r.report.Files = append(r.report.Files, report)
	}
	return names && err == nil
}

func (r *run) sealedFile(path string, text []byte, named, ruled bool) {
	format := sealed.FormatOf(path)
	f, err := sealed.Parse(path, format, text)
	if err != nil && format == sealed.Binary && looksSealed(text) {
		// Its name says nothing, so its text says which format it has.
		if sniffed, otherErr := sealed.Parse(path, sealed.Sniff(string(text)), text); otherErr == nil {
			f, err = sniffed, nil
		}
	}
	report := FileReport{Path: path, Recipients: []string{}, Plain: []string{}, Problems: []Problem{}}
	if err != nil {
		foreign := sealed.CodeOf(err) == sealed.NotSOPS || format == sealed.Binary && !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
		switch {
		case foreign && !named && !ruled:
			return // a text about SOPS
		case !looksSealed(text):
			err = &sealed.Error{Code: sealed.NotSOPS}
			if ruled {
				err = &sealed.Error{Code: sealed.NotSOPS, Detail: "a creation rule names it"}
			}
		}
		report.add(err)
		r.report.Files = append(r.report.Files, report)
		return
	}
	report.Format, report.Values = f.Format, len(f.Keys())
	report.Recipients = append(report.Recipients, f.Recipients()...)
	report.Plain = append(report.Plain, f.Plain()...)
	for _, key := range report.Plain {
		report.add(&sealed.Error{Code: sealed.NotEncrypted, Key: key})
	}
	// A file that happens to lie there must not make this machine call the service
	// that it names.
	if r.Decrypt && len(report.Plain) == 0 && (named || ruled || !f.Remote()) {
		if r.Look != nil {
			r.Look(path)
		}
		_, err := r.Store.Open(r.ctx, f)
		report.add(err)
		report.Decrypted = err == nil
	}
	r.report.Files = append(r.report.Files, report)
}

func (f *FileReport) add(err error) {
	if err != nil {
		f.Problems = append(f.Problems, problem(err, f.Path))
	}
}

// configuration follows the references in a configuration file.
func (r *run) configuration(path string, text []byte) {
	refs, others, err := references(path, text)
	if err != nil {
		r.report.Files = append(r.report.Files, FileReport{
			Path: path, Recipients: []string{}, Plain: []string{}, Problems: []Problem{{Code: codeConfiguration, Message: err.Error()}},
		})
		return
	}
	r.report.Others += others
	for _, ref := range refs {
		report := ReferenceReport{At: ref.at, File: ref.file, Key: ref.key, Problems: []Problem{}}
		if err := r.follow(ref); err != nil {
			report.Problems = append(report.Problems, problem(err, ""))
		}
		r.report.References = append(r.report.References, report)
	}
}

func (r *run) follow(ref reference) error {
	key, err := sealed.ParsePath(ref.key)
	if err != nil {
		return err
	}
	f, err := r.Store.File(ref.file, "")
	if err != nil {
		return err
	}
	if ref.whole {
		_, err = f.Digest(key)
	} else {
		err = f.Scalar(key)
	}
	if err != nil || !r.Decrypt {
		return err
	}
	o, err := r.Store.Open(r.ctx, f)
	if err == nil && !ref.whole {
		_, err = o.Secret(key)
	}
	return err
}

// problem is an error of sealed without the path that stands beside it.
func problem(err error, path string) Problem {
	var e *sealed.Error
	if !errors.As(err, &e) {
		return Problem{Code: sealed.Unreadable, Message: (&sealed.Error{Code: sealed.Unreadable}).Error()}
	}
	out := *e
	if out.File == path {
		out.File = ""
	}
	return Problem{Code: e.Code, Message: out.Error()}
}

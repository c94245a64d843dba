// SPDX-License-Identifier: MPL-2.0

package upload

import (
	"io"
	"mime"
	"regexp"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// rawScriptPart names the only module of an upload whose body is the script.
const rawScriptPart = "script"

// Parse reads the body of an upload of a script or of a version.
func Parse(contentType string, r io.Reader, store BlobStore, lim Limits) (*Upload, error) {
	if mediaType, _, err := mime.ParseMediaType(contentType); err == nil && (mediaType == scriptType || mediaType == "text/javascript") {
		return parseRawScript(r, store, lim)
	}
	b, err := readMultipart(contentType, r, "metadata", store, lim)
	if err != nil {
		return nil, err
	}
	if b.metadata == nil {
		return nil, refuse(CodeBadBody, `the upload has no part "metadata"`)
	}
	u, err := ParseMetadata(b.metadata)
	if err != nil {
		return nil, err
	}
	if err := u.takeModules(b.parts); err != nil {
		return nil, err
	}
	return u, nil
}

// ParsePatch reads the body of a settings patch: one JSON part "settings".
func ParsePatch(contentType string, r io.Reader, lim Limits) (*Upload, error) {
	b, err := readMultipart(contentType, r, "settings", refusingStore{}, lim)
	if err != nil {
		return nil, err
	}
	if b.metadata == nil {
		return nil, refuse(CodeBadBody, `the patch has no part "settings"`)
	}
	return ParseMetadata(b.metadata)
}

// refusingStore is for bodies that must not hold code.
type refusingStore struct{}

func (refusingStore) Put(io.Reader) (string, int64, error) {
	return "", 0, refuse(CodeBadBody, `a settings patch has a part "settings" and nothing else`)
}

// parseRawScript reads the oldest dialect: the body is a service worker.
func parseRawScript(r io.Reader, store BlobStore, lim Limits) (*Upload, error) {
	left := lim.Code
	m, err := storeModule(store, r, &left)
	if err != nil {
		return nil, err
	}
	u, err := ParseMetadata([]byte(`{"body_part":"` + rawScriptPart + `"}`))
	if err != nil {
		return nil, err
	}
	m.ContentType = scriptType
	if err := u.takeModules([]part{{name: rawScriptPart, module: m}}); err != nil {
		return nil, err
	}
	return u, nil
}

// takeModules names the modules and puts the entry first. The entry is the part
// whose name, or else whose file name, is the one that the metadata gives.
func (u *Upload) takeModules(parts []part) error {
	c := &u.Content
	if c.MainModule != "" && c.BodyPart != "" {
		return refuse(CodeBadBody, "the metadata has both main_module and body_part: a Worker has one of them")
	}
	entry := c.MainModule + c.BodyPart
	if entry == "" {
		return refuse(CodeBadBody, "the metadata names no main_module")
	}
	at := entryPart(parts, entry)
	if at < 0 {
		return refuse(CodeUnparsable, "the upload has no part whose name or file name is %q, which the metadata names as its entry", entry)
	}
	seen := make(map[string]bool, len(parts))
	c.Modules = make([]registry.Module, 0, len(parts))
	for i, p := range parts {
		m := p.module
		m.Name = p.filename
		if i == at {
			m.Name = entry
		} else if m.Name == "" {
			m.Name = p.name
		}
		m.Name = strings.TrimPrefix(m.Name, "./")
		if err := checkModuleName(m.Name); err != nil {
			return err
		}
		if seen[m.Name] {
			return refuse(CodeInvalid, "the upload has two modules %q", m.Name)
		}
		seen[m.Name] = true
		if m.ContentType == "" {
			m.ContentType = guessContentType(m.Name, i == at && c.BodyPart == "")
		}
		c.Modules = append(c.Modules, m)
	}
	main := c.Modules[at]
	copy(c.Modules[1:at+1], c.Modules[:at])
	c.Modules[0] = main
	if c.MainModule != "" {
		c.MainModule = main.Name
	}
	return u.checkModules()
}

func entryPart(parts []part, entry string) int {
	for i, p := range parts {
		if p.name == entry {
			return i
		}
	}
	for i, p := range parts {
		if p.filename == entry {
			return i
		}
	}
	return -1
}

func (u *Upload) checkModules() error {
	c := &u.Content
	if c.BodyPart != "" {
		for _, m := range c.Modules[1:] {
			// Newer clients send the source map along.
			if _, loaded, err := ModuleType(m); err != nil || loaded {
				return refuse(CodeInvalid, "a service worker has one part, %q, and the upload has %q too: write it as a module to use others", c.BodyPart, m.Name)
			}
		}
		c.Modules[0].ContentType = scriptType
		return nil
	}
	for i, m := range c.Modules {
		t, _, err := ModuleType(m)
		if err != nil {
			return err
		}
		if i == 0 && t != "esModule" {
			return refuse(CodeInvalid, "main module %q has the content type %q: it must be an ES module, %q", m.Name, m.ContentType, esModuleType)
		}
	}
	return nil
}

func checkModuleName(name string) error {
	if name == "" {
		return refuse(CodeInvalid, "a module of the upload has no name: give its part a file name")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return refuse(CodeInvalid, "the module name %q has a control character", name)
	}
	return nil
}

// workerName is what may stand in a workers.dev host name; Cloudflare adds the
// underscore for names that never get one.
var workerName = regexp.MustCompile(`^[a-z0-9_][a-z0-9_-]{0,62}$`)

// CheckWorkerName refuses what cannot be a Worker's name.
func CheckWorkerName(name string) error {
	if !workerName.MatchString(name) {
		return refuse(CodeInvalidName, "%q is no name for a Worker: use up to 63 lower-case letters, digits, hyphens and underscores", name)
	}
	return nil
}

// CheckVersioned refuses what only a full upload may do, before a version is made
// of u.
func (u *Upload) CheckVersioned() error {
	if u.Content.BodyPart != "" {
		return refuse(CodeInvalid, "a service worker cannot be uploaded as a version: write it as a module, or deploy it as a whole")
	}
	if u.Migrates {
		return refuse(CodeMigrationInVersion, "Version upload failed. You attempted to upload a version of a Worker that includes a Durable Object migration, but migrations must be fully applied via a non-versioned deployment.")
	}
	return nil
}

// CheckDeployable refuses what this plane cannot run at all.
func (u *Upload) CheckDeployable() error {
	if u.Migrates {
		return refuse(CodeInvalid, "Durable Objects do not run on this plane: deploy this Worker to the edge plane, or leave its migrations and exports out")
	}
	return nil
}

// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// getScriptContent sends the modules of the live version, or of the one that
// ?version= names: as multipart with the entry first, named by cf-entrypoint; a
// service worker as the script itself.
func (p *Plane) getScriptContent(r *request) (*reply, error) {
	s, err := p.findScript(r)
	if err != nil {
		return nil, err
	}
	v, err := s.version()
	if id := r.URL.Query().Get("version"); id != "" {
		v, err = p.reg.Version(r.Context(), s.worker.ID, id)
		err = orElse(err, versionNotFound(id))
	}
	if err != nil {
		return nil, err
	}
	if v.MainModule == "" {
		if len(v.Modules) == 0 {
			return &reply{status: http.StatusNoContent, raw: func(http.ResponseWriter) error { return nil }}, nil
		}
		rep := &reply{raw: func(w http.ResponseWriter) error { return p.copyBlob(w, v.Modules[0].SHA256) }}
		return rep.with("Content-Type", "application/javascript").with("Etag", contentETag(v)), nil
	}
	boundary := contentETag(v)[:32]
	rep := &reply{raw: func(w http.ResponseWriter) error { return p.sendModules(w, boundary, v) }}
	return rep.with("Content-Type", "multipart/form-data; boundary="+boundary).
		with("Cf-Entrypoint", v.MainModule).with("Etag", contentETag(v)), nil
}

func (p *Plane) sendModules(w io.Writer, boundary string, v registry.Version) error {
	mw := multipart.NewWriter(w)
	if err := mw.SetBoundary(boundary); err != nil {
		return fmt.Errorf("sending the version %s: %w", v.ID, err)
	}
	for _, m := range entryFirst(v) {
		quoted := quoteName(m.Name)
		part, err := mw.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {fmt.Sprintf(`form-data; name="%s"; filename="%s"`, quoted, quoted)},
			"Content-Type":        {m.ContentType},
		})
		if err == nil {
			err = p.copyBlob(part, m.SHA256)
		}
		if err != nil {
			return fmt.Errorf("sending the module %q of the version %s: %w", m.Name, v.ID, err)
		}
	}
	return mw.Close()
}

// entryFirst returns the modules with the entry as the first: the official
// provider takes the first part for the content.
func entryFirst(v registry.Version) []registry.Module {
	out := make([]registry.Module, 0, len(v.Modules))
	for _, m := range v.Modules {
		if m.Name == v.MainModule {
			out = append(out, m)
		}
	}
	for _, m := range v.Modules {
		if m.Name != v.MainModule {
			out = append(out, m)
		}
	}
	return out
}

// quoteName escapes a name as WHATWG form encoding does.
func quoteName(s string) string {
	return strings.NewReplacer(`"`, "%22", "\r", "%0D", "\n", "%0A").Replace(s)
}

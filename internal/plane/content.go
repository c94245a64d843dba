// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/upload"
)

const (
	// maxCompressedCode is Cloudflare's limit for a Worker on a paid plan.
	maxCompressedCode = 10 << 20
	// maxMessage and maxTag are Cloudflare's limits; what is longer is cut off.
	maxMessage = 1000
	maxTag     = 100

	annotationMessage     = "workers/message"
	annotationTag         = "workers/tag"
	annotationTriggeredBy = "workers/triggered_by"
)

// checkContent refuses what no runtime needs to be asked about.
func (p *Plane) checkContent(c *registry.VersionContent) error {
	if len(c.Modules) == 0 {
		return invalid("The version has no modules: a Worker without code does not run on a self-hosted plane.")
	}
	entry := c.MainModule + c.BodyPart
	if entry == "" || (c.MainModule != "" && c.BodyPart != "") {
		return invalid("The version must name its main_module.")
	}
	seen := map[string]bool{}
	for _, m := range c.Modules {
		if m.Name == "" {
			return invalid("A module has no name.")
		}
		if seen[m.Name] {
			return invalid("The version has two modules %q.", m.Name)
		}
		seen[m.Name] = true
		if _, _, err := upload.ModuleType(m); err != nil {
			return err
		}
	}
	if !seen[entry] {
		return invalid("The main module %q is not among the modules %s.", entry, quoteAll(c.Modules))
	}
	if err := p.checkDate(c.CompatibilityDate); err != nil {
		return err
	}
	return p.checkSize(c.Modules)
}

func quoteAll(modules []registry.Module) string {
	const most = 5
	var names []string
	for i, m := range modules {
		if i == most {
			names = append(names, "...")
			break
		}
		names = append(names, fmt.Sprintf("%q", m.Name))
	}
	return strings.Join(names, ", ")
}

func (p *Plane) checkDate(date string) error {
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return invalid("The compatibility_date %q is not a date: write it as YYYY-MM-DD.", date)
	}
	// A client east of here may have tomorrow already.
	if day.After(p.now().UTC().AddDate(0, 0, 1)) {
		return invalid("The compatibility_date %s is in the future: use today's or an earlier one.", date)
	}
	return nil
}

// checkSize measures the code as Cloudflare does: gzipped, without source maps.
func (p *Plane) checkSize(modules []registry.Module) error {
	var plain int64
	for _, m := range modules {
		if isCode(m) {
			plain += m.Size
		}
	}
	// Compression makes nothing larger by more than its header.
	if plain <= maxCompressedCode {
		return nil
	}
	var counted countingWriter
	z := gzip.NewWriter(&counted)
	for _, m := range modules {
		if !isCode(m) {
			continue
		}
		if err := p.copyBlob(z, m.SHA256); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("measuring the code: %w", err)
	}
	if int64(counted) > maxCompressedCode {
		return fail(http.StatusRequestEntityTooLarge, codeTooLarge, "The version's modules are %d bytes after compression; the limit is %d (10 MiB). Leave out what it does not need, or split the Worker.", counted, maxCompressedCode)
	}
	return nil
}

// isCode says whether a module is loaded; ModuleType has accepted it before.
func isCode(m registry.Module) bool {
	_, loaded, err := upload.ModuleType(m)
	return loaded && err == nil
}

func (p *Plane) copyBlob(w io.Writer, sum string) error {
	f, err := p.reg.OpenBlob(sum)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return errors.Join(err, f.Close())
}

type countingWriter int64

func (c *countingWriter) Write(b []byte) (int, error) {
	*c += countingWriter(len(b))
	return len(b), nil
}

// checkServices refuses bindings to Workers and VPC services that the account does not
// have, or that this plane cannot reach.
func (p *Plane) checkServices(ctx context.Context, w registry.Worker, bindings []registry.Binding) error {
	for _, b := range bindings {
		if b.Type == "vpc_service" {
			if err := p.checkVPCBinding(ctx, w, b); err != nil {
				return err
			}
			continue
		}
		service, isService := b.Service()
		if !isService || service == w.Name {
			continue
		}
		_, err := p.reg.Worker(ctx, w.AccountID, service)
		if errors.Is(err, registry.ErrNotFound) {
			return fail(http.StatusBadRequest, codeServiceNotFound, "Service binding '%s' references Worker '%s', which was not found: create that Worker first, or mend the binding.", b.Name, service)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// annotations keeps the known annotations of a client, cut to their limits, and
// adds what triggered the operation, which is never the client's to say.
func annotations(given map[string]string, triggeredBy string) map[string]string {
	out := map[string]string{annotationTriggeredBy: triggeredBy}
	if m := given[annotationMessage]; m != "" {
		out[annotationMessage] = cut(m, maxMessage)
	}
	if t := given[annotationTag]; t != "" {
		out[annotationTag] = cut(t, maxTag)
	}
	if a := given["workers/alias"]; a != "" {
		out["workers/alias"] = cut(a, maxTag)
	}
	return out
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// Ports of a VPC service that names none.
const (
	vpcHTTPPort  = 80
	vpcHTTPSPort = 443
)

// checkVPCBinding refuses a binding to a VPC service that is not there, or is not for
// requests: workerd's connect() would not come through this plane.
func (p *Plane) checkVPCBinding(ctx context.Context, w registry.Worker, b registry.Binding) error {
	var id string
	_ = json.Unmarshal(b.Fields["service_id"], &id) // checked when it was read
	v, err := p.reg.VPCService(ctx, w.AccountID, id)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return fail(http.StatusBadRequest, codeServiceNotFound, "VPC service binding '%s' references VPC service '%s', which was not found: create it first, or mend the binding.", b.Name, id)
	case err != nil:
		return err
	case v.Type != "http":
		return fail(http.StatusBadRequest, codeServiceNotFound,
			"VPC service binding '%s' references %q, of type %s: a self-hosted plane reaches services of type http only. Deploy this Worker to the edge plane, or leave the binding out.", b.Name, v.Name, v.Type)
	}
	return nil
}

var _ PrivateSource = (*Plane)(nil)

// VPCService implements PrivateSource. The service is looked up for each request, so a
// change of it holds at once.
func (p *Plane) VPCService(ctx context.Context, accountID, serviceID string, https bool) (http.Handler, error) {
	if p.private == nil {
		return nil, errors.New("this plane reaches no private services")
	}
	v, err := p.reg.VPCService(ctx, accountID, serviceID)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, fmt.Errorf("there is no VPC service %s any more: deploy a version without the binding, or with one to another service", serviceID)
	}
	if err != nil {
		return nil, err
	}
	if v.Type != "http" {
		return nil, fmt.Errorf("the VPC service %q is of type %s now, and requests need http: change it back, or deploy a version without the binding", v.Name, v.Type)
	}
	var body vpcBody
	if err := json.Unmarshal(v.Body, &body); err != nil {
		return nil, fmt.Errorf("the VPC service %q is damaged: put it again", v.Name)
	}
	t := VPCTarget{Host: cmp.Or(body.Host.Hostname, body.Host.IPv4, body.Host.IPv6), HTTPPort: vpcHTTPPort, HTTPSPort: vpcHTTPSPort}
	if body.HTTPPort != nil {
		t.HTTPPort = *body.HTTPPort
	}
	if body.HTTPSPort != nil {
		t.HTTPSPort = *body.HTTPSPort
	}
	if body.TLSSettings != nil {
		t.Verify = body.TLSSettings.CertVerificationMode
	}
	return p.private.Fetch(t, https), nil
}

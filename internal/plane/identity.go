// SPDX-License-Identifier: MPL-2.0

package plane

import (
	"github.com/hybridge/terraform-provider-hybridge/internal/plane/registry"
)

// verifyToken says that the token is good: nobody comes here with another.
func (p *Plane) verifyToken(r *request) (*reply, error) {
	return ok(object{"id": r.token.ID, "status": "active"}), nil
}

// getUser describes the token's owner. A plane has no people, only tokens.
func (p *Plane) getUser(r *request) (*reply, error) {
	return ok(object{
		"id": r.token.ID, "email": r.actor().authorEmail, "first_name": nil, "last_name": nil, "username": r.token.Name,
		"suspended": false, "two_factor_authentication_enabled": false, "two_factor_authentication_locked": false,
	}), nil
}

// listAccounts lists the one account that a token is bound to.
func (p *Plane) listAccounts(r *request) (*reply, error) {
	list, info, err := paginate(r, []object{accountView(r.account)})
	if err != nil {
		return nil, err
	}
	return page(list, info), nil
}

func (p *Plane) getAccount(r *request) (*reply, error) { return ok(accountView(r.account)), nil }

func accountView(a registry.Account) object {
	return object{"id": a.ID, "name": a.Name, "type": "standard", "created_on": stamp(a.CreatedOn),
		"settings": object{"enforce_twofactor": false}}
}

// listMemberships is how older clients find their account; the roles are what the
// token may do, which wrangler prints after a refusal.
func (p *Plane) listMemberships(r *request) (*reply, error) {
	list, info, err := paginate(r, []object{{
		"id": r.token.ID, "status": "accepted", "account": object{"id": r.account.ID, "name": r.account.Name},
		"roles": orEmpty(r.token.Permissions), "api_access_enabled": true,
	}})
	if err != nil {
		return nil, err
	}
	return page(list, info), nil
}

func (p *Plane) getWorkersAccountSettings(*request) (*reply, error) {
	return ok(object{"default_usage_model": usageModel, "green_compute": false}), nil
}

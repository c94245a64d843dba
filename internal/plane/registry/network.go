// SPDX-License-Identifier: MPL-2.0

package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// VirtualNetwork is a set of private routes that may overlap with those of others.
type VirtualNetwork struct {
	ID        string // UUID
	AccountID string
	Name      string
	Comment   string
	IsDefault bool // exactly one of each account
	CreatedOn time.Time
	DeletedOn *time.Time
}

// TunnelRoute sends a private network through a tunnel.
type TunnelRoute struct {
	ID               string // UUID
	AccountID        string
	Network          string // CIDR
	TunnelID         string
	TunnelName       string
	VirtualNetworkID string
	VirtualNetwork   string // its name
	Comment          string
	CreatedOn        time.Time
	DeletedOn        *time.Time
}

// defaultVirtualNetwork is the name of what is there without being made.
const defaultVirtualNetwork = "default"

const virtualNetworkColumns = `id, account_id, name, comment, is_default, created_on, deleted_on`

func scanVirtualNetwork(row interface{ Scan(...any) error }) (VirtualNetwork, error) {
	var v VirtualNetwork
	var created int64
	var deleted sql.NullInt64
	if err := row.Scan(&v.ID, &v.AccountID, &v.Name, &v.Comment, &v.IsDefault, &created, &deleted); err != nil {
		return VirtualNetwork{}, notFound(err)
	}
	v.CreatedOn, v.DeletedOn = fromMicros(created), fromNullMicros(deleted)
	return v, nil
}

// VirtualNetworks lists those of an account that are not deleted, oldest first. The
// default one is made when somebody looks first.
func (r *Registry) VirtualNetworks(ctx context.Context, accountID string) (list []VirtualNetwork, err error) {
	read := func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, `SELECT `+virtualNetworkColumns+` FROM virtual_networks WHERE account_id = ? AND deleted_on IS NULL ORDER BY created_on, id`, accountID)
		list, err = scanAll(rows, err, scanVirtualNetwork)
		return err
	}
	if err := r.view(ctx, "listing virtual networks", read); err != nil || len(list) > 0 {
		return list, err
	}
	err = r.update(ctx, "making the default virtual network", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO virtual_networks (id, account_id, name, comment, is_default, created_on) VALUES (?, ?, ?, '', 1, ?) ON CONFLICT DO NOTHING`,
			uuid.NewString(), accountID, defaultVirtualNetwork, r.stamp().UnixMicro())
		return errors.Join(err, read(tx))
	})
	return list, err
}

// CreateVirtualNetwork adds one. A name that is taken gives ErrNameTaken. One that is to be
// the default takes that from the one before.
func (r *Registry) CreateVirtualNetwork(ctx context.Context, v VirtualNetwork) (VirtualNetwork, error) {
	if _, err := r.VirtualNetworks(ctx, v.AccountID); err != nil {
		return VirtualNetwork{}, err
	}
	v.ID, v.CreatedOn, v.DeletedOn = uuid.NewString(), r.stamp(), nil
	err := r.update(ctx, fmt.Sprintf("creating the virtual network %q", v.Name), func(tx *sql.Tx) error {
		if err := onlyDefault(ctx, tx, v); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO virtual_networks (`+virtualNetworkColumns+`) VALUES (?, ?, ?, ?, ?, ?, NULL)`,
			v.ID, v.AccountID, v.Name, v.Comment, v.IsDefault, v.CreatedOn.UnixMicro())
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	return v, err
}

func onlyDefault(ctx context.Context, tx *sql.Tx, v VirtualNetwork) error {
	if !v.IsDefault {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE virtual_networks SET is_default = 0 WHERE account_id = ? AND id <> ?`, v.AccountID, v.ID)
	return err
}

// UpdateVirtualNetwork stores name, comment and whether it is the default.
func (r *Registry) UpdateVirtualNetwork(ctx context.Context, v VirtualNetwork) error {
	return r.update(ctx, fmt.Sprintf("updating the virtual network %q", v.Name), func(tx *sql.Tx) error {
		if err := onlyDefault(ctx, tx, v); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE virtual_networks SET name = ?, comment = ?, is_default = ? WHERE id = ? AND deleted_on IS NULL`, v.Name, v.Comment, v.IsDefault, v.ID)
		if isUnique(err) {
			return ErrNameTaken
		}
		return oneRow(res, err)
	})
}

// DeleteVirtualNetwork marks one as deleted. Routes in it give ErrInUse, unless they
// are to go with it.
func (r *Registry) DeleteVirtualNetwork(ctx context.Context, id string, withRoutes bool) error {
	now := r.stamp().UnixMicro()
	return r.update(ctx, "deleting the virtual network "+id, func(tx *sql.Tx) error {
		if withRoutes {
			if _, err := tx.ExecContext(ctx, `UPDATE tunnel_routes SET deleted_on = ? WHERE virtual_network_id = ? AND deleted_on IS NULL`, now, id); err != nil {
				return err
			}
		}
		var routes int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tunnel_routes WHERE virtual_network_id = ? AND deleted_on IS NULL`, id).Scan(&routes); err != nil {
			return err
		}
		if routes > 0 {
			return ErrInUse
		}
		return oneRow(tx.ExecContext(ctx, `UPDATE virtual_networks SET deleted_on = ? WHERE id = ? AND deleted_on IS NULL`, now, id))
	})
}

const selectTunnelRoutes = `SELECT r.id, r.account_id, r.network, r.tunnel_id, t.name, r.virtual_network_id, v.name, r.comment, r.created_on, r.deleted_on
	FROM tunnel_routes r JOIN tunnels t ON t.id = r.tunnel_id JOIN virtual_networks v ON v.id = r.virtual_network_id `

func scanTunnelRoute(row interface{ Scan(...any) error }) (TunnelRoute, error) {
	var t TunnelRoute
	var created int64
	var deleted sql.NullInt64
	err := row.Scan(&t.ID, &t.AccountID, &t.Network, &t.TunnelID, &t.TunnelName, &t.VirtualNetworkID, &t.VirtualNetwork, &t.Comment, &created, &deleted)
	if err != nil {
		return TunnelRoute{}, notFound(err)
	}
	t.CreatedOn, t.DeletedOn = fromMicros(created), fromNullMicros(deleted)
	return t, nil
}

// TunnelRoutes lists the routes of an account, deleted ones too, oldest first.
func (r *Registry) TunnelRoutes(ctx context.Context, accountID string) (list []TunnelRoute, err error) {
	err = r.view(ctx, "listing routes of tunnels", func(tx *sql.Tx) (err error) {
		rows, err := tx.QueryContext(ctx, selectTunnelRoutes+`WHERE r.account_id = ? ORDER BY r.created_on, r.id`, accountID)
		list, err = scanAll(rows, err, scanTunnelRoute)
		return err
	})
	return list, err
}

// TunnelRoute returns a route of the account, also a deleted one.
func (r *Registry) TunnelRoute(ctx context.Context, accountID, id string) (t TunnelRoute, err error) {
	err = r.view(ctx, fmt.Sprintf("reading the route %q", id), func(tx *sql.Tx) (err error) {
		t, err = scanTunnelRoute(tx.QueryRowContext(ctx, selectTunnelRoutes+`WHERE r.account_id = ? AND r.id = ?`, accountID, id))
		return err
	})
	return t, err
}

// PutTunnelRoute adds a route, or changes that of its id if it has one. A network
// that the virtual network has already gives ErrNameTaken.
func (r *Registry) PutTunnelRoute(ctx context.Context, t TunnelRoute) (TunnelRoute, error) {
	if t.ID == "" {
		t.ID, t.CreatedOn = uuid.NewString(), r.stamp()
	}
	err := r.update(ctx, "storing the route of "+t.Network, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO tunnel_routes (id, account_id, network, tunnel_id, virtual_network_id, comment, created_on) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET network = excluded.network, tunnel_id = excluded.tunnel_id, virtual_network_id = excluded.virtual_network_id, comment = excluded.comment`,
			t.ID, t.AccountID, t.Network, t.TunnelID, t.VirtualNetworkID, t.Comment, t.CreatedOn.UnixMicro())
		if isUnique(err) {
			return ErrNameTaken
		}
		return err
	})
	if err != nil {
		return TunnelRoute{}, err
	}
	return r.TunnelRoute(ctx, t.AccountID, t.ID)
}

// DeleteTunnelRoute marks a route as deleted.
func (r *Registry) DeleteTunnelRoute(ctx context.Context, id string) error {
	return r.update(ctx, "deleting the route "+id, func(tx *sql.Tx) error {
		return oneRow(tx.ExecContext(ctx, `UPDATE tunnel_routes SET deleted_on = ? WHERE id = ? AND deleted_on IS NULL`, r.stamp().UnixMicro(), id))
	})
}

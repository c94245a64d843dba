// SPDX-License-Identifier: MPL-2.0

package plane

func (p *Plane) workersRoutes() []route     { return nil }
func (p *Plane) versionsRoutes() []route    { return nil }
func (p *Plane) deploymentsRoutes() []route { return nil }
func (p *Plane) hybridgeRoutes() []route    { return nil }

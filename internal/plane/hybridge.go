// SPDX-License-Identifier: MPL-2.0

package plane

func (p *Plane) hybridgeRoutes() []route { return nil }

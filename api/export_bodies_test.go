package api

// FillBodies takes all the memory that large bodies may have together, until free is called.
func (s *Server) FillBodies() (free func(), ok bool) {
	return func() { s.bodies.Release(maxBodies) }, s.bodies.TryAcquire(maxBodies)
}

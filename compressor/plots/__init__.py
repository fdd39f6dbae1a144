"""Pictures of what was measured, drawn by matplotlib, which only these need."""

// Package field holds thirty groups that look like what people publish. Every one is read and
// planned.
package field

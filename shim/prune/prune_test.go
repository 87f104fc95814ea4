package prune_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/prune"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	day = 24 * time.Hour
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// image is unused for some days. Its parts are its own, unless others have them.
func image(name string, days int, parts ...string) host.ImageUsage {
	return host.ImageUsage{Names: []string{name}, Digest: "sha256:" + name, Unused: now.Add(-time.Duration(days) * day), Parts: append(parts, name)}
}

func used(i host.ImageUsage) host.ImageUsage {
	i.Groups, i.Unused = []string{"shop"}, time.Time{}
	return i
}

func kept(i host.ImageUsage, why string) host.ImageUsage {
	i.Kept = why
	return i
}

// onHost has the images. Each part takes 100 MiB, "base" takes 1 GiB, and "empty..." nothing.
func onHost(all ...host.ImageUsage) host.Images {
	found := host.Images{Path: "/images", All: all, Sizes: map[string]uint64{}}
	for _, i := range all {
		for _, part := range i.Parts {
			switch {
			case part == "base":
				found.Sizes[part] = gib
			case part[0] != 'e':
				found.Sizes[part] = 100 * mib
			}
		}
	}
	return found
}

var roomy = host.Disk{Size: 100 * gib, Free: 50 * gib}

func TestPlan(t *testing.T) {
	short := host.Disk{Size: 100 * gib, Free: 8*gib - 150*mib}
	for _, tt := range []struct {
		name   string
		images host.Images
		limits prune.Limits
		disk   host.Disk
		want   []string
	}{
		{"no limits", onHost(image("a", 1000)), prune.Limits{}, host.Disk{Size: gib}, nil},
		{"by age", onHost(image("a", 6), image("b", 7), image("c", 30)), prune.Limits{Unused: 7 * day}, roomy,
			[]string{"c 100MiB unused for 30 days", "b 100MiB unused for 7 days"}},
		{"used", onHost(used(image("a", 30)), image("b", 30)), prune.Limits{Unused: 7 * day, Total: 1}, host.Disk{Size: gib},
			[]string{"b 100MiB unused for 30 days"}},
		{"kept", onHost(kept(image("a", 30), host.KeptByHand), kept(image("b", 30), host.KeptPinned), kept(image("c", 30), host.KeptForeign)),
			prune.Limits{Unused: 7 * day, Total: 1}, host.Disk{Size: gib}, nil},
		{"since when is not known", onHost(host.ImageUsage{Digest: "x", Parts: []string{"x"}}), prune.Limits{Unused: time.Hour, Total: 1}, host.Disk{Size: gib}, nil},
		{"marked by a clock that was ahead", onHost(image("a", -30)), prune.Limits{Unused: time.Hour}, roomy, nil},
		{"over the total", onHost(image("a", 1), image("b", 3), image("c", 2), used(image("d", 9))), prune.Limits{Total: 250 * mib}, roomy,
			[]string{"b 100MiB images take 400MiB, more than 250MiB", "c 100MiB images take 300MiB, more than 250MiB"}},
		{"the total has room after those that are too old", onHost(image("a", 1), image("b", 30)), prune.Limits{Unused: 7 * day, Total: 100 * mib}, roomy,
			[]string{"b 100MiB unused for 30 days"}},
		{"a layer of one that is used frees nothing", onHost(used(image("a", 0, "base")), image("b", 2, "base")), prune.Limits{Total: 1200 * mib}, roomy,
			[]string{"b 100MiB images take 1.195GiB, more than 1.172GiB"}},
		{"one that can't free anything stays", onHost(used(image("a", 0, "base")), image("empty", 5, "base"), image("c", 2)), prune.Limits{Total: gib}, roomy,
			[]string{"c 100MiB images take 1.195GiB, more than 1GiB"}},
		{"two that free something together", onHost(image("empty1", 5, "base"), image("empty2", 4, "base"), used(image("c", 2))), prune.Limits{Total: gib}, roomy,
			[]string{"empty1 0B images take 1.098GiB, more than 1GiB", "empty2 1GiB images take 1.098GiB, more than 1GiB"}},
		{"nearly full", onHost(image("a", 1), image("b", 3), image("c", 2)), prune.Limits{Total: gib}, short,
			[]string{"b 100MiB the disk of /images is nearly full", "c 100MiB the disk of /images is nearly full"}},
		{"nearly full, with a limit of age alone", onHost(image("a", 1)), prune.Limits{Unused: 7 * day}, short, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range prune.Plan(tt.images, tt.limits, tt.disk, now) {
				got = append(got, fmt.Sprintf("%s %s %s", r.Names[0], sizeText(r.Frees), r.Why))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func sizeText(bytes uint64) string {
	switch {
	case bytes == 0:
		return "0B"
	case bytes%gib == 0:
		return fmt.Sprintf("%dGiB", bytes/gib)
	}
	return fmt.Sprintf("%dMiB", bytes/mib)
}

func TestLack(t *testing.T) {
	for _, tt := range []struct {
		name string
		disk host.Disk
		want uint64
	}{
		{"unknown", host.Disk{}, 0},
		{"a tenth of a small disk", host.Disk{Size: 20 * gib, Free: 2 * gib}, 0},
		{"less than that", host.Disk{Size: 20 * gib, Free: gib}, gib},
		{"little of a large disk, and enough", host.Disk{Size: 4000 * gib, Free: 8 * gib}, 0},
		{"not enough", host.Disk{Size: 4000 * gib, Free: 7 * gib}, gib},
	} {
		if got := prune.Lack(tt.disk); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestUnused(t *testing.T) {
	found := onHost(used(image("a", 0, "base")), image("b", 1, "base"), kept(image("c", 1), host.KeptByHand), kept(image("d", 1), host.KeptPinned),
		host.ImageUsage{Names: []string{"new"}, Digest: "new", Parts: []string{"new"}})
	for _, tt := range []struct {
		byHand bool
		want   []string
	}{{false, []string{"b", "new"}}, {true, []string{"b", "c", "new"}}} {
		removals := prune.Unused(found, tt.byHand)
		var got []string
		for _, r := range removals {
			got = append(got, r.Names[0])
		}
		if !slices.Equal(got, tt.want) || prune.Frees(removals) != uint64(len(got))*100*mib {
			t.Errorf("by hand %t: %q frees %d, want %q", tt.byHand, got, prune.Frees(removals), tt.want)
		}
	}
}

// An image that something names or keeps stays on every host. What is planned frees what
// it says, removes no more than is needed, and leaves nothing that is too old.
func TestPlanNeverRemovesWhatIsNamed(t *testing.T) {
	planned, stayed := 0, 0
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 0))
		found := host.Images{Sizes: map[string]uint64{}}
		for n := range 30 {
			found.Sizes[fmt.Sprint("part", n)] = r.Uint64N(3) * 100 * mib
		}
		for n := range r.IntN(12) {
			i := image(fmt.Sprint("image", n), r.IntN(20))
			i.Parts = nil
			for range r.IntN(6) {
				i.Parts = append(i.Parts, fmt.Sprint("part", r.IntN(30)))
			}
			slices.Sort(i.Parts)
			i.Parts = slices.Compact(i.Parts)
			switch r.IntN(5) {
			case 0:
				i = used(i)
			case 1:
				i.Groups = []string{"shop"} // with a mark that is not deleted yet
			case 2:
				i = kept(i, host.KeptByHand)
			}
			found.All = append(found.All, i)
		}
		limits := prune.Limits{Unused: time.Duration(r.IntN(3)) * 5 * day, Total: r.Uint64N(3) * 500 * mib}
		disk := host.Disk{Size: 10 * gib, Free: r.Uint64N(3) * gib}
		removals := prune.Plan(found, limits, disk, now)

		gone := map[string]bool{}
		for _, removal := range removals {
			gone[removal.Digest] = true
		}
		var left, before uint64
		count := func(without map[string]bool) (sum uint64) {
			seen := map[string]bool{}
			for _, i := range found.All {
				for _, part := range i.Parts {
					if !without[i.Digest] && !seen[part] {
						seen[part] = true
						sum += found.Sizes[part]
					}
				}
			}
			return sum
		}
		before, left = count(nil), count(gone)
		if got := prune.Frees(removals); got != before-left {
			t.Errorf("seed %d: %d bytes are freed, and it is %d", seed, before-left, got)
		}
		for _, i := range found.All {
			old := limits.Unused > 0 && !i.Unused.IsZero() && now.Sub(i.Unused) >= limits.Unused
			switch {
			case gone[i.Digest] && !i.Removable():
				t.Errorf("seed %d: %+v is named or kept, and is removed", seed, i)
			case gone[i.Digest]:
				planned++
			case i.Removable() && old:
				t.Errorf("seed %d: %+v is too old, and stays", seed, i)
			default:
				stayed++
			}
		}
		// Without the last one that gave way, there is too little room.
		if n := len(removals); n > 0 && limits.Total > 0 && limits.Unused == 0 {
			delete(gone, removals[n-1].Digest)
			short := count(gone)
			if short <= limits.Total && before-short >= prune.Lack(disk) {
				t.Errorf("seed %d: %+v is removed, and there was enough room", seed, removals[n-1])
			}
		}
	}
	if planned < 1000 || stayed < 1000 {
		t.Errorf("%d removals and %d that stay are too few to see anything", planned, stayed)
	}
}

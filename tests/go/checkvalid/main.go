// Checkvalid reads pprof profiles as Go itself does, and says what it found.
//
// Usage: checkvalid FILE...
//
// It prints a line for each profile and exits with status 1 if one of them is no valid profile. It is built
// against the profile package inside the Go distribution, which cannot be imported from outside: the test that
// builds it copies that package next to this file.
package main

import (
	"fmt"
	"os"
	"strings"

	"checkvalid/profile"
)

func main() {
	status := 0
	for _, path := range os.Args[1:] {
		summary, err := check(path)
		if err != nil {
			fmt.Printf("INVALID %s: %v\n", path, err)
			status = 1
			continue
		}
		fmt.Println("valid", summary)
	}
	os.Exit(status)
}

func check(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	p, err := profile.Parse(file)
	if err != nil {
		return "", err
	}
	if err := p.CheckValid(); err != nil {
		return "", err
	}
	var types []string
	for _, t := range p.SampleType {
		types = append(types, t.Type+"/"+t.Unit)
	}
	totals := make([]int64, len(p.SampleType))
	for _, s := range p.Sample {
		for i, v := range s.Value {
			totals[i] += v
		}
	}
	return fmt.Sprintf("types=%s default=%s period=%d duration=%d samples=%d locations=%d functions=%d mappings=%d totals=%v",
		strings.Join(types, ","), p.DefaultSampleType, p.Period, p.DurationNanos,
		len(p.Sample), len(p.Location), len(p.Function), len(p.Mapping), totals), nil
}

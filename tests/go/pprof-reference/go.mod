module pprof-reference

go 1.22

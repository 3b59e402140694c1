module lock

go 1.22

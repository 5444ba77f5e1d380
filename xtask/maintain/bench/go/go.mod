module mini-docker

go 1.17

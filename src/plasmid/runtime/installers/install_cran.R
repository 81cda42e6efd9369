# Installs or downloads R packages: names and versions are arguments and never become code.
#
#   Rscript install_cran.R REPOSITORY SECONDS install FOLDER NAME VERSION
#   Rscript install_cran.R REPOSITORY SECONDS download FOLDER NAME VERSION
#   Rscript install_cran.R REPOSITORY SECONDS file PATH
#
# For REPOSITORY "-" R's own setting holds, or the first of its list of mirrors. VERSION "-" is the current one; another
# is taken from the archive. FOLDER keeps the downloads.
given <- commandArgs(trailingOnly = TRUE)
options(warn = 2, timeout = as.integer(given[2]), Ncpus = 2L)
repository <- given[1]
if (repository == "-") {
  repository <- getOption("repos")["CRAN"]
  if (is.na(repository) || repository == "@CRAN@")
    repository <- getCRANmirrors(local.only = TRUE)[1, "URL"]
}
options(repos = c(CRAN = repository))

offered <- function() available.packages(filters = c("R_version", "OS_type", "duplicates"))

fetch <- function(folder, name, version) {
  rows <- offered()
  if (name %in% rownames(rows) && (version == "-" || rows[name, "Version"] == version))
    return(download.packages(name, folder, available = rows, type = "source")[1, 2])
  file <- paste0(name, "_", version, ".tar.gz")
  places <- paste0(contrib.url(repository, "source"), c("/Archive/", "/"), c(paste0(name, "/"), ""), file)
  for (place in places) {
    target <- file.path(folder, file)
    got <- tryCatch(download.file(place, target, mode = "wb"), error = function(e) { message(conditionMessage(e)); 1 })
    if (got == 0) return(target)
    unlink(target)
  }
  held <- if (name %in% rownames(rows)) paste("the current one is", rows[name, "Version"]) else "nor any other"
  stop("CRAN has no version ", version, " of ", name, ", ", held)
}

needed_by <- function(path) {
  name <- sub("_.*", "", basename(path))
  folder <- tempfile()
  untar(path, files = file.path(name, "DESCRIPTION"), exdir = folder)
  told <- read.dcf(file.path(folder, name, "DESCRIPTION"), fields = c("Depends", "Imports", "LinkingTo"))
  names <- trimws(sub("\\(.*", "", gsub("\n", " ", unlist(strsplit(told[!is.na(told)], ",")))))
  setdiff(names[names != ""], c("R", rownames(installed.packages())))
}

switch(given[3],
  install = {
    folder <- given[4]; name <- given[5]; version <- given[6]
    if (version == "-") {
      install.packages(name, destdir = folder, type = "source")
    } else {
      path <- fetch(folder, name, version)
      missing <- needed_by(path)
      if (length(missing)) install.packages(missing, destdir = folder, type = "source")
      install.packages(path, repos = NULL, type = "source")
    }
    if (!(name %in% rownames(installed.packages()))) stop(name, " is not available after its installation")
  },
  download = invisible(fetch(given[4], given[5], given[6])),
  file = install.packages(given[4], repos = NULL, type = "source")
)

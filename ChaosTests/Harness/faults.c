#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The words of the page, in the order of FaultLibrary.Fault and FaultLibrary.Strikes. */
enum {
    HANG_SYNCS, DELAY_SYNCS, FAIL_SYNCS_FROM, FULL_FROM, IGNORE_SYNCS, WALL_CLOCK, MONOTONIC_CLOCK,
    LOG_SYNCS, GROWTHS, HUNG, DELAYED, FAILED, REFUSED, IGNORED, CLOCK_READS, WORDS
};

static int64_t none[WORDS], *page = none;
static char data[PATH_MAX], real_data[PATH_MAX], shadow[PATH_MAX];

static int64_t word(int at) { return __atomic_load_n(&page[at], __ATOMIC_RELAXED); }
static int64_t count(int at) { return __atomic_add_fetch(&page[at], 1, __ATOMIC_RELAXED); }

#define REAL(result, name, ...)                                          \
    static result (*real)(__VA_ARGS__);                                  \
    if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *file = getenv("FAULTS_PAGE"), *directory = getenv("FAULTS_DATA"), *copy = getenv("FAULTS_SHADOW");
    if (!file || !directory) return;
    snprintf(data, sizeof data, "%s", directory);
    if (!realpath(directory, real_data)) snprintf(real_data, sizeof real_data, "%s", directory);
    if (copy) snprintf(shadow, sizeof shadow, "%s", copy);
    int descriptor = open(file, O_RDWR | O_CLOEXEC);
    void *mapped = descriptor < 0 ? MAP_FAILED : mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (mapped == MAP_FAILED) {
        fprintf(stderr, "faults: cannot map %s\n", file);
        _exit(99);
    }
    close(descriptor);
    page = mapped;
    page[LOG_SYNCS] = page[GROWTHS] = 0;
}

/* MARK: Which files are meant */

static const char *below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    if (!length || strncmp(path, directory, length) || (path[length] && path[length] != '/')) return NULL;
    return path[length] ? path + length + 1 : path + length;
}

/* Relative to the data directory, or NULL: not in it, or SQLite's shared memory, which is made anew at each opening. */
static const char *of_path(const char *path) {
    if (!*data || !path) return NULL;
    const char *relative = below(path, data);
    if (!relative) relative = below(path, real_data);
    size_t length = relative ? strlen(relative) : 0;
    return length > 4 && !strcmp(relative + length - 4, "-shm") ? NULL : relative;
}

static const char *of_descriptor(int descriptor, char path[PATH_MAX], struct stat *status) {
    char link[64];
    if (!*data || fstat(descriptor, status) || (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode))) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return of_path(path);
}

/* MARK: What is on the disk for good: a copy, brought up to date by syncs only */

struct extent { off_t from, to; struct extent *next; };
/* What was written to a file since its last sync. */
struct file { ino_t number; off_t shortest; struct extent *extents; struct file *next; };
/* What happened to the names of a directory since its last sync, in order. `number` 0: the name is gone. */
struct change { char *directory, *name; ino_t number; struct change *next; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files;
static struct change *changes, **last_change = &changes;

static struct file *file_of(ino_t number) {
    for (struct file *file = files; file; file = file->next)
        if (file->number == number) return file;
    struct file *file = calloc(1, sizeof *file);
    *file = (struct file){.number = number, .shortest = -1, .next = files};
    return files = file;
}

static void wrote(ino_t number, off_t from, off_t to) {
    if (!*shadow) return;
    pthread_mutex_lock(&lock);
    struct file *file = file_of(number);
    if (file->extents && file->extents->to == from) {
        file->extents->to = to;
    } else {
        struct extent *extent = malloc(sizeof *extent);
        *extent = (struct extent){from, to, file->extents};
        file->extents = extent;
    }
    pthread_mutex_unlock(&lock);
}

static void cut(ino_t number, off_t size) {
    if (!*shadow) return;
    pthread_mutex_lock(&lock);
    struct file *file = file_of(number);
    if (file->shortest < 0 || size < file->shortest) file->shortest = size;
    pthread_mutex_unlock(&lock);
}

static void content(char path[PATH_MAX + 64], ino_t number) {
    snprintf(path, PATH_MAX + 64, "%s/inodes/%lu", shadow, (unsigned long)number);
}

static void renamed(const char *name, ino_t number) {
    if (!*shadow) return;
    const char *slash = strrchr(name, '/');
    struct change *change = malloc(sizeof *change);
    *change = (struct change){strndup(name, slash ? slash - name : 0), strdup(name), number, NULL};
    pthread_mutex_lock(&lock);
    *last_change = change;
    last_change = &change->next;
    pthread_mutex_unlock(&lock);
}

/* A new file may have the number of one that is gone, whose content may still be named. */
static void created(const char *name, ino_t number) {
    if (!*shadow) return;
    char path[PATH_MAX + 64];
    content(path, number);
    pthread_mutex_lock(&lock);
    syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    struct file *file = file_of(number);
    file->extents = NULL;
    file->shortest = 0;
    pthread_mutex_unlock(&lock);
    renamed(name, number);
}

static void broken(const char *what, const char *path) {
    fprintf(stderr, "faults: %s %s: %s\n", what, path, strerror(errno));
    _exit(99);
}

/* Brings the copy of a file up to date. Later bytes may come along: a disk may do that too. */
static void keep_content(int descriptor, ino_t number, struct file taken) {
    char path[PATH_MAX + 64], link[64], *buffer = malloc(1 << 20);
    struct stat status;
    content(path, number);
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    int from = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    int to = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || fstat(from, &status)) broken("cannot copy", path);
    if (taken.shortest >= 0 && syscall(SYS_ftruncate, to, taken.shortest)) broken("cannot cut", path);
    if (syscall(SYS_ftruncate, to, status.st_size)) broken("cannot cut", path);
    for (struct extent *extent = taken.extents; extent; extent = extent->next)
        for (off_t at = extent->from; at < extent->to;) {
            size_t wanted = extent->to - at < 1 << 20 ? extent->to - at : 1 << 20;
            ssize_t got = pread(from, buffer, wanted, at);
            if (got <= 0) break;
            if (syscall(SYS_pwrite64, to, buffer, got, at) != got) broken("cannot write", path);
            at += got;
        }
    syscall(SYS_close, from);
    syscall(SYS_close, to);
    free(buffer);
}

static void keep_names(const char *directory) {
    for (struct change **place = &changes; *place;) {
        struct change *change = *place;
        if (strcmp(change->directory, directory)) {
            place = &change->next;
            continue;
        }
        char name[2 * PATH_MAX], path[PATH_MAX + 64];
        snprintf(name, sizeof name, "%s/tree/%s", shadow, change->name);
        if (change->number) {
            content(path, change->number);
            /* Never synced: an empty file under a name that is there for good. */
            int empty = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            syscall(SYS_close, empty);
            /* In one step, as a rename is: this process may be killed here. */
            char next[PATH_MAX + 64];
            snprintf(next, sizeof next, "%s/next", shadow);
            syscall(SYS_unlinkat, AT_FDCWD, next, 0);
            if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, next, 0) ||
                syscall(SYS_renameat2, AT_FDCWD, next, AT_FDCWD, name, 0))
                broken("cannot link", name);
        } else {
            syscall(SYS_unlinkat, AT_FDCWD, name, 0);
        }
        *place = change->next;
        free(change->directory);
        free(change->name);
        free(change);
    }
    last_change = &changes;
    while (*last_change) last_change = &(*last_change)->next;
}

/* MARK: Syncs */

static int synchronize(int descriptor, int (*real)(int)) {
    char path[PATH_MAX];
    struct stat status;
    const char *name = of_descriptor(descriptor, path, &status);
    if (!name) return real(descriptor);
    if (!strncmp(name, "log/", 4)) {
        int64_t number = count(LOG_SYNCS);
        if (word(HANG_SYNCS)) {
            count(HUNG);
            while (word(HANG_SYNCS)) usleep(2000);
        }
        int64_t from = word(FAIL_SYNCS_FROM);
        if (from && number >= from) {
            count(FAILED);
            errno = EIO;
            return -1;
        }
    }
    if (word(DELAY_SYNCS)) {
        usleep(word(DELAY_SYNCS) * 1000);
        count(DELAYED);
    }
    if (word(IGNORE_SYNCS)) {
        count(IGNORED);
        return 0;
    }
    if (!*shadow) return real(descriptor);
    struct file taken = {.shortest = -1};
    if (S_ISREG(status.st_mode)) {
        pthread_mutex_lock(&lock);
        struct file *file = file_of(status.st_ino);
        taken = *file;
        file->extents = NULL;
        file->shortest = -1;
        pthread_mutex_unlock(&lock);
    }
    int result = real(descriptor);
    if (result) broken("a sync failed by itself", name);
    pthread_mutex_lock(&lock);
    if (S_ISREG(status.st_mode)) {
        keep_content(descriptor, status.st_ino, taken);
    } else {
        keep_names(name);
    }
    pthread_mutex_unlock(&lock);
    while (taken.extents) {
        struct extent *next = taken.extents->next;
        free(taken.extents);
        taken.extents = next;
    }
    return result;
}

int fsync(int descriptor) {
    REAL(int, fsync, int);
    return synchronize(descriptor, real);
}

int fdatasync(int descriptor) {
    REAL(int, fdatasync, int);
    return synchronize(descriptor, real);
}

/* MARK: Writes */

/* False: the disk is full for what would grow. */
static int has_room(const char *name, const struct stat *status, off_t end) {
    if (!name || end <= status->st_size) return 1;
    int64_t number = count(GROWTHS), from = word(FULL_FROM);
    if (!from || number < from) return 1;
    count(REFUSED);
    errno = ENOSPC;
    return 0;
}

static ssize_t write_at(int descriptor, const void *bytes, size_t length, off_t offset) {
    char path[PATH_MAX];
    struct stat status;
    const char *name = of_descriptor(descriptor, path, &status);
    if (!has_room(name, &status, offset + length)) return -1;
    ssize_t done = syscall(SYS_pwrite64, descriptor, bytes, length, offset);
    /* After the write: a sync that comes between would forget it. */
    if (name && done > 0) wrote(status.st_ino, offset, offset + done);
    return done;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    return write_at(descriptor, bytes, length, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    return write_at(descriptor, bytes, length, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    char path[PATH_MAX];
    struct stat status;
    const char *name = of_descriptor(descriptor, path, &status);
    if (!name) return syscall(SYS_write, descriptor, bytes, length);
    off_t offset = fcntl(descriptor, F_GETFL) & O_APPEND ? status.st_size : lseek(descriptor, 0, SEEK_CUR);
    if (!has_room(name, &status, offset + length)) return -1;
    ssize_t done = syscall(SYS_write, descriptor, bytes, length);
    if (done > 0) wrote(status.st_ino, offset, offset + done);
    return done;
}

static int cut_to(int descriptor, off_t size) {
    char path[PATH_MAX];
    struct stat status;
    const char *name = of_descriptor(descriptor, path, &status);
    int result = syscall(SYS_ftruncate, descriptor, size);
    if (name && !result) cut(status.st_ino, size);
    return result;
}

int ftruncate(int descriptor, off_t size) { return cut_to(descriptor, size); }
int ftruncate64(int descriptor, off64_t size) { return cut_to(descriptor, size); }

/* MARK: Names */

static int open_file(int directory, const char *path, int flags, mode_t mode) {
    const char *name = flags & (O_CREAT | O_TRUNC) ? of_path(path) : NULL;
    struct stat status;
    int existed = name && !stat(path, &status);
    int descriptor = syscall(SYS_openat, directory, path, flags, mode);
    if (name && descriptor >= 0 && !fstat(descriptor, &status)) {
        if (!existed) created(name, status.st_ino);
        else if (flags & O_TRUNC) cut(status.st_ino, 0);
    }
    return descriptor;
}

#define MODE(flags, last)                              \
    mode_t mode = 0;                                   \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                  \
        va_start(rest, last);                          \
        mode = va_arg(rest, mode_t);                   \
        va_end(rest);                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_file(AT_FDCWD, path, flags, mode);
}

int openat(int directory, const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_file(directory, path, flags, mode);
}

int openat64(int directory, const char *path, int flags, ...) {
    MODE(flags, flags)
    return open_file(directory, path, flags, mode);
}

int unlink(const char *path) {
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    const char *name = of_path(path);
    if (name && !result) renamed(name, 0);
    return result;
}

int rename(const char *from, const char *to) {
    const char *old = of_path(from), *new = of_path(to);
    struct stat status;
    int is_known = old && new && !stat(from, &status);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!is_known || result || !*shadow) return result;
    if (S_ISREG(status.st_mode)) {
        renamed(new, status.st_ino);
        renamed(old, 0);
    } else {
        /* Folders are there for good at once: files in them are not. */
        char before[2 * PATH_MAX], after[2 * PATH_MAX];
        snprintf(before, sizeof before, "%s/tree/%s", shadow, old);
        snprintf(after, sizeof after, "%s/tree/%s", shadow, new);
        if (syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0)) broken("cannot rename", before);
    }
    return result;
}

int mkdir(const char *path, mode_t mode) {
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    const char *name = of_path(path);
    char copy[2 * PATH_MAX];
    snprintf(copy, sizeof copy, "%s/tree/%s", shadow, name ? name : "");
    if (name && !result && *shadow && syscall(SYS_mkdirat, AT_FDCWD, copy, mode) && errno != EEXIST)
        broken("cannot make", copy);
    return result;
}

int rmdir(const char *path) {
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
    const char *name = of_path(path);
    char copy[2 * PATH_MAX];
    snprintf(copy, sizeof copy, "%s/tree/%s", shadow, name ? name : "");
    /* Stays while names in it are not gone for good. */
    if (name && !result && *shadow) syscall(SYS_unlinkat, AT_FDCWD, copy, AT_REMOVEDIR);
    return result;
}

/* MARK: Clocks */

static int64_t offset_of(clockid_t clock) {
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: return word(WALL_CLOCK);
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME: return word(MONOTONIC_CLOCK);
    default: return 0;
    }
}

static void shift(struct timespec *time, int64_t milliseconds) {
    int64_t nanoseconds = time->tv_nsec + milliseconds % 1000 * 1000000;
    time->tv_sec += milliseconds / 1000 + (nanoseconds >= 1000000000) - (nanoseconds < 0);
    time->tv_nsec = nanoseconds + (nanoseconds < 0 ? 1000000000 : nanoseconds >= 1000000000 ? -1000000000 : 0);
}

static int read_clock(clockid_t clock, struct timespec *time) {
    REAL(int, clock_gettime, clockid_t, struct timespec *);
    return real ? real(clock, time) : (int)syscall(SYS_clock_gettime, clock, time);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = read_clock(clock, time);
    int64_t offset = result ? 0 : offset_of(clock);
    if (offset) {
        shift(time, offset);
        count(CLOCK_READS);
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

/* What the program took from its clock and hands to the kernel, on the kernel's clock; says which it is. */
static clockid_t for_kernel(const struct timespec *time, struct timespec *result) {
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    /* Monotonic time counts from the start of the machine, which is decades less. */
    clockid_t clock = time->tv_sec > wall.tv_sec / 2 ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    *result = *time;
    shift(result, -offset_of(clock));
    if (result->tv_sec < 0) *result = (struct timespec){0, 0};
    return clock;
}

static int wait_for(sem_t *semaphore, const struct timespec *time) {
    REAL(int, sem_clockwait, sem_t *, clockid_t, const struct timespec *);
    struct timespec kernel;
    clockid_t clock = for_kernel(time, &kernel);
    return real(semaphore, clock, &kernel);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict time) { return wait_for(semaphore, time); }

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict time) {
    (void)clock;
    return wait_for(semaphore, time);
}

static int wait_on(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time) {
    REAL(int, pthread_cond_clockwait, pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    struct timespec kernel;
    clockid_t clock = for_kernel(time, &kernel);
    return real(condition, mutex, clock, &kernel);
}

int pthread_cond_timedwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict time) {
    return wait_on(condition, mutex, time);
}

int pthread_cond_clockwait(
    pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
    const struct timespec *restrict time) {
    (void)clock;
    return wait_on(condition, mutex, time);
}

int timerfd_settime(int timer, int flags, const struct itimerspec *time, struct itimerspec *old) {
    REAL(int, timerfd_settime, int, int, const struct itimerspec *, struct itimerspec *);
    struct itimerspec kernel = *time;
    if (flags & TFD_TIMER_ABSTIME && (time->it_value.tv_sec || time->it_value.tv_nsec)) {
        for_kernel(&time->it_value, &kernel.it_value);
        if (!kernel.it_value.tv_sec && !kernel.it_value.tv_nsec) kernel.it_value.tv_nsec = 1;
    }
    return real(timer, flags, &kernel, old);
}

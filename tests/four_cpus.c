/* Preloaded (LD_PRELOAD), makes a process see four CPUs, whatever the machine has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

enum { CPUS = 4 };

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set) {
    CPU_ZERO_S(size, set);
    for (int cpu = 0; cpu < CPUS; cpu++)
        CPU_SET_S(cpu, size, set);
    return 0;
}

int get_nprocs(void) { return CPUS; }

long sysconf(int name) {
    long (*original)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF ? CPUS : original(name);
}

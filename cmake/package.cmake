# Makes Debian packages: run `cpack -G DEB` in a build folder that has the prefix /usr.
#
# Packagers name themselves: -DKEEPSTEP_MAINTAINER="Name <address>" -DKEEPSTEP_HOMEPAGE=https://…

set(KEEPSTEP_MAINTAINER "The Keepstep authors <packages@keepstep.invalid>" CACHE STRING
    "who answers for the packages")
set(KEEPSTEP_HOMEPAGE "" CACHE STRING "where the project is at home; empty: not named")
set(KEEPSTEP_DEBIAN_REVISION 1 CACHE STRING "revision of the packages of one version")
set(debian ${PROJECT_SOURCE_DIR}/deploy/debian)
find_program(KEEPSTEP_DATE date)
if(NOT KEEPSTEP_DATE OR NOT EXISTS ${debian}) # deploy/Dockerfile builds the program alone
    return()
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME keepstep)
set(CPACK_PACKAGE_CONTACT "${KEEPSTEP_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE "${KEEPSTEP_HOMEPAGE}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL keepstep libkeepstep0 libkeepstep-dev)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${KEEPSTEP_DEBIAN_REVISION})
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_KEEPSTEP_PACKAGE_NAME keepstep)
set(CPACK_DEBIAN_KEEPSTEP_PACKAGE_SECTION database)
set(CPACK_DEBIAN_KEEPSTEP_PACKAGE_RECOMMENDS "bash-completion")
set(CPACK_COMPONENT_KEEPSTEP_DESCRIPTION
    "keep copies of other services' tables in step, over Kafka
A service commits a change to its own database. Keepstep publishes it to
Kafka and applies it, in order and once, to the databases of the services
that asked for it. The databases are SQLite, PostgreSQL and MariaDB, in any
mixture.
.
This package has the program, its manual, completion for bash and a systemd
unit for each service's sidecar.")
set(CPACK_DEBIAN_KEEPSTEP_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/postinst
    ${PROJECT_BINARY_DIR}/debian/prerm ${PROJECT_BINARY_DIR}/debian/postrm)

set(CPACK_DEBIAN_LIBKEEPSTEP0_PACKAGE_NAME libkeepstep0)
set(CPACK_DEBIAN_LIBKEEPSTEP0_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBKEEPSTEP0_DESCRIPTION
    "write a change into a service's outbox (shared library)
A C service on SQLite writes what it changed into its outbox, in its own
transaction. Keepstep publishes it to Kafka.")
set(CPACK_DEBIAN_LIBKEEPSTEP0_PACKAGE_CONTROL_EXTRA ${debian}/triggers)

set(CPACK_DEBIAN_LIBKEEPSTEP-DEV_PACKAGE_NAME libkeepstep-dev)
set(CPACK_DEBIAN_LIBKEEPSTEP-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBKEEPSTEP-DEV_PACKAGE_DEPENDS
    "libkeepstep0 (= ${PROJECT_VERSION}-${KEEPSTEP_DEBIAN_REVISION}), libsqlite3-dev")
set(CPACK_COMPONENT_LIBKEEPSTEP-DEV_DESCRIPTION
    "write a change into a service's outbox (development files)
A C service on SQLite writes what it changed into its outbox, in its own
transaction. Keepstep publishes it to Kafka.
.
This package has the header, the static library and libkeepstep.pc.")

# Files that only the packages have.
foreach(script postinst prerm postrm)
    configure_file(${debian}/keepstep.${script} ${PROJECT_BINARY_DIR}/debian/${script} COPYONLY
        FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
        WORLD_READ WORLD_EXECUTE)
endforeach()
execute_process(COMMAND ${KEEPSTEP_DATE} -u -R -d ${KEEPSTEP_RELEASED}
    OUTPUT_VARIABLE KEEPSTEP_RELEASED_RFC2822 OUTPUT_STRIP_TRAILING_WHITESPACE)
configure_file(${debian}/changelog.in ${PROJECT_BINARY_DIR}/debian/changelog.Debian @ONLY)
configure_file(CHANGELOG.md ${PROJECT_BINARY_DIR}/debian/changelog COPYONLY)
execute_process(COMMAND ${KEEPSTEP_GZIP} -9nkf changelog changelog.Debian
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/debian)
foreach(component ${CPACK_COMPONENTS_ALL})
    install(FILES ${debian}/copyright ${PROJECT_BINARY_DIR}/debian/changelog.Debian.gz
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${component} COMPONENT ${component}
        EXCLUDE_FROM_ALL)
endforeach()
install(FILES ${PROJECT_BINARY_DIR}/debian/changelog.gz
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/keepstep COMPONENT keepstep EXCLUDE_FROM_ALL)
install(DIRECTORY DESTINATION /etc/keepstep COMPONENT keepstep EXCLUDE_FROM_ALL)
include(CPack)
